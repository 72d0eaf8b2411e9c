//! What watches the stream: alarms and the dashboard.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::document::{Template, list, text};

/// Where alarms and the task's events go.
pub(crate) fn topic() -> Value {
    json!({ "Fn::If": ["CreatesAlarmTopic", { "Ref": "AlarmTopic" }, { "Ref": "AlarmTopicArn" }] })
}

/// The alarms' names and properties.
fn alarms(template: &Template) -> Vec<(&str, &Value)> {
    let alarms = template.of_type("AWS::CloudWatch::Alarm").into_iter();
    alarms.map(|(name, it)| (name, &it["Properties"])).collect()
}

/// The seconds for which an alarm's condition has to last. With metric math, all metrics have one period.
fn lasts(alarm: &Value) -> u64 {
    let periods: BTreeSet<_> = match alarm.get("Period") {
        Some(period) => [period.as_u64()].into(),
        None => list(&alarm["Metrics"])
            .into_iter()
            .filter_map(|it| it.get("MetricStat"))
            .map(|it| it["Period"].as_u64())
            .collect(),
    };
    assert_eq!(periods.len(), 1, "{alarm}");
    let period = periods.into_iter().flatten().next().unwrap();
    period * alarm["EvaluationPeriods"].as_u64().unwrap()
}

#[test]
fn every_alarm_says_what_is_wrong_and_whom_it_tells_and_what_no_data_mean() {
    for name in ["handlers.yaml", "stream.yaml", "archive.yaml"] {
        let template = Template::read(name);
        let to = match name {
            "archive.yaml" => json!({ "Ref": "AlarmTopicArn" }),
            _ => topic(),
        };
        for (alarm, it) in alarms(&template) {
            assert_eq!(it["AlarmActions"], json!([to]), "{alarm}");
            assert!(!text(&it["AlarmDescription"]).is_empty(), "{alarm}");
            assert_ne!(it["TreatMissingData"], Value::Null, "{alarm}");
        }
    }
}

#[test]
fn the_metrics_of_the_task_are_looked_for_by_the_names_that_dms_gives_them() {
    let stream = Template::read("stream.yaml");
    let instance = &stream.resource("ReplicationInstance")["Properties"];
    let task = json!({ "Fn::Select": [6, { "Fn::Split": [":", { "Ref": "ReplicationTask" }] }] });
    let mut seen = BTreeSet::new();
    for (name, alarm) in alarms(&stream) {
        if alarm["Namespace"] != "AWS/DMS" {
            continue;
        }
        seen.insert(alarm["MetricName"].as_str().unwrap());
        assert_eq!(
            alarm["Dimensions"],
            json!([
                { "Name": "ReplicationInstanceIdentifier", "Value": instance["ReplicationInstanceIdentifier"] },
                { "Name": "ReplicationTaskIdentifier", "Value": task },
            ]),
            "{name}"
        );
    }
    assert_eq!(seen, BTreeSet::from(["CDCLatencySource", "CDCLatencyTarget"]));
}

#[test]
fn a_task_that_is_silent_for_longer_than_a_deployment_can_pause_it_is_an_alarm() {
    let (handlers, stream) = (Template::read("handlers.yaml"), Template::read("stream.yaml"));
    let timeout = |function: &str| handlers.resource(function)["Properties"]["Timeout"].as_u64();
    let pause = timeout("DmsPreFunction").unwrap() + timeout("DmsPostFunction").unwrap();
    let silence = &stream.resource("TaskSilenceAlarm")["Properties"];
    assert!(lasts(silence) >= pause, "{} s, {pause} s", lasts(silence));
}

#[test]
fn latency_has_to_last_to_be_an_alarm() {
    let stream = Template::read("stream.yaml");
    for name in ["SourceLatencyAlarm", "TargetLatencyAlarm"] {
        let alarm = &stream.resource(name)["Properties"];
        assert!(lasts(alarm) >= 900, "{name}");
    }
}

#[test]
fn the_errors_of_every_function_are_an_alarm() {
    let handlers = Template::read("handlers.yaml");
    let metrics = list(&handlers.resource("HandlerAlarm")["Properties"]["Metrics"]);
    let (expressions, stats): (Vec<_>, Vec<_>) =
        metrics.into_iter().partition(|it| it.get("Expression").is_some());
    assert_eq!(expressions.len(), 1);
    assert_eq!(expressions[0]["Expression"], "SUM(METRICS())");
    let of = |it: &Value| {
        assert_eq!(it["ReturnData"], false);
        let watched = &it["MetricStat"]["Metric"];
        assert_eq!((&watched["Namespace"], &watched["MetricName"]), (&json!("AWS/Lambda"), &json!("Errors")));
        watched["Dimensions"][0]["Value"]["Ref"].as_str().unwrap().to_owned()
    };
    let functions = handlers.of_type("AWS::Lambda::Function");
    let functions: BTreeSet<_> = functions.into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(stats.into_iter().map(of).collect::<BTreeSet<_>>(), functions);
}

/// The dashboard's text with something in the place of every `${…}`, and what was named there.
fn filled_in(dashboard: &Value) -> (Value, BTreeSet<String>) {
    let sub = &dashboard["Properties"]["DashboardBody"]["Fn::Sub"];
    let (mut filled, mut named) = (String::new(), BTreeSet::new());
    let mut parts = sub[0].as_str().unwrap().split("${");
    filled.push_str(parts.next().unwrap());
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        named.insert(name.to_owned());
        filled.push_str(match name {
            "Instance" | "Task" => r#""Name", "value""#,
            _ => "1",
        });
        filled.push_str(rest);
    }
    (serde_json::from_str(&filled).unwrap(), named)
}

#[test]
fn a_dashboard_is_json_that_shows_every_alarm_of_its_stack_and_every_function() {
    for (name, metrics) in [
        ("handlers.yaml", &["MatchedEvents", "FailedInvocations", "Invocations", "Errors", "Duration"][..]),
        (
            "stream.yaml",
            &["CDCLatencySource", "CDCLatencyTarget", "CDCThroughputRowsTarget", "FailedInvocations"],
        ),
    ] {
        let template = Template::read(name);
        let (body, named) = filled_in(template.resource("Dashboard"));
        for (alarm, _) in alarms(&template) {
            assert!(named.contains(&format!("{alarm}.Arn")), "{alarm}");
        }
        for (function, it) in template.section("Resources") {
            assert!(it["Type"] != "AWS::Lambda::Function" || named.contains(function), "{function}");
        }
        let text = body.to_string();
        for metric in metrics {
            assert!(text.contains(&format!("\"{metric}\"")), "{metric}");
        }
        // CloudWatch's grid is 24 wide; nothing lies upon anything else.
        let mut taken = BTreeSet::new();
        for widget in body["widgets"].as_array().unwrap() {
            let number = |name: &str| widget[name].as_u64().unwrap();
            assert!(number("x") + number("width") <= 24, "{widget}");
            for x in number("x")..number("x") + number("width") {
                for y in number("y")..number("y") + number("height") {
                    assert!(taken.insert((x, y)), "{widget}");
                }
            }
        }
    }
}
