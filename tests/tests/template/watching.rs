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
    for name in ["stream.yaml", "archive.yaml"] {
        let template = Template::read(name);
        let to = match name {
            "stream.yaml" => topic(),
            _ => json!({ "Ref": "AlarmTopicArn" }),
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
    // arn:aws:dms:region:account:task:name
    let arn = "arn:aws:dms:eu-west-1:123456789012:task:ORDERS";
    assert_eq!(arn.split(':').nth(6), Some("ORDERS"));
}

#[test]
fn what_replaces_the_instance_gives_it_another_name() {
    let stream = Template::read("stream.yaml");
    let instance = &stream.resource("ReplicationInstance")["Properties"];
    let group = json!({ "Ref": "ReplicationSubnetGroup" });
    assert_eq!(instance["ReplicationSubnetGroupIdentifier"], group);
    assert_eq!(instance["ReplicationInstanceIdentifier"], group);
    // The others of the properties that replace it.
    assert_eq!(instance["PubliclyAccessible"], false);
    for replacing in ["KmsKeyId", "ResourceIdentifier"] {
        assert_eq!(instance.get(replacing), None);
    }
    let own = json!({ "Fn::Select": [2, { "Fn::Split": ["/", { "Ref": "AWS::StackId" }] }] });
    let vpc = json!({ "Fn::Select": [1, { "Fn::Split": ["-", { "Ref": "VpcId" }] }] });
    let named = |first: &str| json!({ "Fn::Join": ["-", [first, own, vpc]] });
    let group = &stream.resource("ReplicationSubnetGroup")["Properties"];
    assert_eq!(group["ReplicationSubnetGroupIdentifier"], named("sluice"));
    let log = &stream.resource("TaskLogGroup")["Properties"]["LogGroupName"];
    assert_eq!(*log, named("dms-tasks-sluice"));
    // With the longest parts that there are.
    let name = "sluice-11111111-2222-3333-4444-555555555555-0123456789abcdef0";
    assert!(name.len() <= 63, "{} characters", name.len());
}

#[test]
fn a_task_that_is_silent_for_longer_than_a_deployment_can_pause_it_is_an_alarm() {
    let stream = Template::read("stream.yaml");
    let timeout = |function: &str| stream.resource(function)["Properties"]["Timeout"].as_u64();
    let pause = timeout("DmsPreFunction").unwrap() + timeout("DmsPostFunction").unwrap();
    let silence = &stream.resource("TaskSilenceAlarm")["Properties"];
    assert!(lasts(silence) >= pause, "{} s, {pause} s", lasts(silence));
    assert_eq!(silence["Statistic"], "SampleCount");
    assert_eq!(silence["ComparisonOperator"], "LessThanThreshold");
    assert_eq!(silence["Threshold"], 1);
    // The dead say nothing, and a task that only loads has no latency.
    assert_eq!(
        silence["TreatMissingData"],
        json!({ "Fn::If": ["ReplicatesChanges", "breaching", "notBreaching"] })
    );
    assert_eq!(
        *stream.get("Conditions", "ReplicatesChanges"),
        json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "MigrationType" }, "full-load"] }] })
    );
}

#[test]
fn latency_is_an_alarm_on_both_sides_and_silence_does_not_switch_it_off() {
    let stream = Template::read("stream.yaml");
    for name in ["SourceLatencyAlarm", "TargetLatencyAlarm"] {
        let alarm = &stream.resource(name)["Properties"];
        assert_eq!(alarm["Threshold"], json!({ "Ref": "LatencyAlarmSeconds" }));
        assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
        assert_eq!(alarm["TreatMissingData"], "ignore", "{name}");
        assert!(lasts(alarm) >= 900, "{name}");
    }
}

/// What an alarm watches that adds up one metric: the resources behind its metrics' first dimension.
pub(crate) fn added_up<'a>(alarm: &'a Value, namespace: &str, metric: &str) -> BTreeSet<&'a str> {
    let (expressions, stats): (Vec<_>, Vec<_>) =
        list(&alarm["Metrics"]).into_iter().partition(|it| it.get("Expression").is_some());
    assert_eq!(expressions.len(), 1);
    assert_eq!(expressions[0]["Expression"], "SUM(METRICS())");
    let of = |it: &'a Value| {
        assert_eq!(it["ReturnData"], false);
        let watched = &it["MetricStat"]["Metric"];
        assert_eq!((&watched["Namespace"], &watched["MetricName"]), (&json!(namespace), &json!(metric)));
        watched["Dimensions"][0]["Value"]["Ref"].as_str().unwrap()
    };
    stats.into_iter().map(of).collect()
}

#[test]
fn the_errors_of_every_function_are_an_alarm() {
    let stream = Template::read("stream.yaml");
    let alarm = &stream.resource("HandlerAlarm")["Properties"];
    let functions = stream.of_type("AWS::Lambda::Function");
    let functions: BTreeSet<_> = functions.into_iter().map(|(name, _)| name).collect();
    assert_eq!(added_up(alarm, "AWS/Lambda", "Errors"), functions);
}

#[test]
fn the_age_of_the_oldest_unread_record_is_measured_by_the_retention() {
    let stream = Template::read("stream.yaml");
    let alarm = &stream.resource("StreamAgeAlarm")["Properties"];
    let share = &alarm["Metrics"][0]["Expression"]["Fn::Sub"];
    assert_eq!(*share, "100 * age / (3600000 * ${StreamRetentionHours})");
    let threshold = alarm["Threshold"].as_u64().unwrap();
    assert!((1..100).contains(&threshold), "{threshold} %");
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
fn the_dashboard_is_json_that_shows_every_alarm_of_the_stack_and_every_function() {
    let stream = Template::read("stream.yaml");
    let (body, named) = filled_in(stream.resource("Dashboard"));
    for (alarm, _) in alarms(&stream) {
        assert!(named.contains(&format!("{alarm}.Arn")), "{alarm}");
    }
    for (function, _) in stream.of_type("AWS::Lambda::Function") {
        assert!(named.contains(function), "{function}");
    }
    let metrics = body.to_string();
    for metric in [
        "CDCLatencySource",
        "CDCLatencyTarget",
        "CDCThroughputRowsTarget",
        "MatchedEvents",
        "FailedInvocations",
        "Invocations",
        "Errors",
        "Duration",
    ] {
        assert!(metrics.contains(&format!("\"{metric}\"")), "{metric}");
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
