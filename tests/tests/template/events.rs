//! What tells people of the task at once: the rule for DMS's events, its message, the topic that it goes to, and the alarm
//! on what could not be delivered.

use std::collections::BTreeSet;

use replication::task::{FINISHED, UNASKED};
use serde_json::{Value, json};

use super::document::{Template, list, text};
use super::functions::{actions, statements};
use super::watching::topic;

/// DMS's reasons beside those two lists: it was told to stop, or starts the task again by itself.
const OTHERS: [&str; 3] = ["NORMAL", "RECONFIGURATION_RESTART", "RECYCLE_TASK"];

/// What the rule demands of an event's detail: one of these.
fn ways(rule: &Value) -> Vec<&Value> {
    let detail = rule["EventPattern"]["detail"].as_object().unwrap();
    assert_eq!(detail.len(), 1);
    list(&detail["$or"])
}

/// The text that a wildcard looks for, anywhere.
fn looked_for(wildcard: &Value) -> &str {
    let wildcard = wildcard["wildcard"].as_str().unwrap();
    wildcard.strip_prefix('*').and_then(|it| it.strip_suffix('*')).unwrap()
}

/// Whether the rule tells of an event.
fn tells(rule: &Value, event_type: &str, message: Option<&str>) -> bool {
    let detail = json!({ "eventType": event_type, "detailMessage": message });
    let fits = |has: &str, wanted: &Value| match wanted {
        Value::String(wanted) => has == wanted,
        wildcard => has.contains(looked_for(wildcard)),
    };
    ways(rule).into_iter().any(|way| {
        way.as_object().unwrap().iter().all(|(field, wanted)| {
            let has = detail[field].as_str();
            has.is_some_and(|has| list(wanted).into_iter().any(|it| fits(has, it)))
        })
    })
}

#[test]
fn every_failure_is_told_and_a_stop_only_for_a_reason_that_nobody_asked_for() {
    let stream = Template::read("stream.yaml");
    let rule = &stream.resource("TaskRule")["Properties"];

    let reasons: Vec<&str> = UNASKED.into_iter().chain(FINISHED).chain(OTHERS).collect();
    assert_eq!(reasons.len(), 14, "as many as DMS has");
    for reason in reasons {
        let message = format!("Replication task has stopped. Stop Reason {reason}.");
        let is_unasked = UNASKED.contains(&reason);
        assert_eq!(tells(rule, "REPLICATION_TASK_STOPPED", Some(&message)), is_unasked, "{reason}");
        assert!(tells(rule, "REPLICATION_TASK_FAILED", Some(&message)));
        assert!(!tells(rule, "REPLICATION_TASK_STARTED", Some(&message)));
    }
    assert!(tells(rule, "REPLICATION_TASK_FAILED", None));
    // What DMS says when somebody calls StopReplicationTask, as DmsPre does.
    for message in [Some("Replication task has stopped."), None] {
        assert!(!tells(rule, "REPLICATION_TASK_STOPPED", message), "{message:?}");
    }
}

/// Of how many beginnings of these wildcards one text can be at once, at the worst. That is EventBridge's measure of a
/// rule; it takes ten and no more. (`MachineComplexityEvaluator` in aws/event-ruler)
fn complexity(wildcards: &[String]) -> usize {
    let wildcards: Vec<Vec<char>> =
        wildcards.iter().map(|it| format!("\"{it}\"").chars().collect()).collect();
    let letters: BTreeSet<char> = wildcards.iter().flatten().copied().filter(|it| *it != '*').collect();
    // How far a text has come, in which of them.
    type Places = BTreeSet<(usize, usize)>;
    let after = |places: &Places, letter: char| {
        let mut next = Places::new();
        for &(of, at) in places {
            let wildcard = &wildcards[of];
            if at > 0 && wildcard[at - 1] == '*' {
                next.insert((of, at));
            }
            if wildcard.get(at) == Some(&letter) {
                next.insert((of, at + 1));
                // A star takes nothing, too.
                next.extend((wildcard.get(at + 1) == Some(&'*')).then_some((of, at + 2)));
            }
        }
        next
    };
    let start: Places = (0..wildcards.len()).map(|of| (of, 0)).collect();
    let (mut seen, mut open) = (BTreeSet::from([start.clone()]), vec![start]);
    while let Some(places) = open.pop() {
        for next in letters.iter().map(|letter| after(&places, *letter)) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    // Before its first letter, a text has come nowhere.
    let come = seen.iter().map(|it| it.iter().filter(|(_, at)| *at > 0).count());
    come.max().unwrap_or_default()
}

#[test]
fn eventbridge_takes_the_wildcards_which_it_would_not_if_there_were_one_for_each_reason() {
    // The first two are among the evaluator's own tests.
    for (wildcards, wanted) in [(vec!["*ab*ad"], 4), (vec!["ab*cd", "ab*wx", "ab*yz"], 6)] {
        let wildcards: Vec<String> = wildcards.into_iter().map(str::to_owned).collect();
        assert_eq!(complexity(&wildcards), wanted, "{wildcards:?}");
    }
    assert!(complexity(&UNASKED.map(|reason| format!("*{reason}*"))) > 10);

    let stream = Template::read("stream.yaml");
    let rule = &stream.resource("TaskRule")["Properties"];
    let parts = ways(rule).into_iter().flat_map(|it| list(&it["detailMessage"])).map(looked_for);
    let wildcards: Vec<String> = parts.map(|part| format!("*{part}*")).collect();
    let of_task = complexity(&wildcards);
    assert!((1..=10).contains(&of_task), "{wildcards:?}: {of_task}");

    // Whatever the one star of StackNames stands for.
    for names in ["*", "shop-*", "*-stack", "s*s", "stack*stack"] {
        let stacks = format!("arn:aws:cloudformation:eu-west-1:123456789012:stack/{names}/*");
        let of_healing = complexity(&[stacks]);
        assert!((1..=10).contains(&of_healing), "{names}: {of_healing}");
    }
}

#[test]
fn dms_s_own_message_reaches_people_whatever_is_in_it() {
    let stream = Template::read("stream.yaml");
    let target = &stream.resource("TaskRule")["Properties"]["Targets"][0];
    assert_eq!(target["Arn"], topic());
    let transformer = &target["InputTransformer"];
    let mut message = text(&transformer["InputTemplate"]["Fn::Sub"]);
    for (name, path) in transformer["InputPathsMap"].as_object().unwrap() {
        // A time, and a word of the pattern's. What has a path goes into the text as it is.
        assert!(path == "$.time" || path == "$.detail.eventType", "{path} may hold a quote");
        assert!(message.contains(&format!("<{name}>")), "{name}");
        message = message.replace(&format!("<{name}>"), "something");
    }
    // The event is put in as JSON, where JSON can be.
    let event =
        json!({ "detail": { "detailMessage": r#"Table "a\b" can't be read. Stop Reason FATAL_ERROR."# } });
    message = message.replace("<aws.events.event.json>", &event.to_string());
    assert!(!message.contains('<'), "{message}");
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["event"], event);
}

#[test]
fn a_topic_of_the_stacks_own_takes_alarms_and_events_and_nothing_else() {
    for name in ["handlers.yaml", "stream.yaml"] {
        let template = Template::read(name);
        let mut services = BTreeSet::new();
        for statement in statements(&template.resource("AlarmTopicPolicy")["Properties"]) {
            assert_eq!(statement["Effect"], "Allow");
            assert_eq!(actions(statement), ["sns:Publish"]);
            assert_eq!(statement["Resource"], json!({ "Ref": "AlarmTopic" }));
            let service = text(&statement["Principal"]["Service"]);
            // EventBridge can't publish under a condition.
            let has_condition = statement.get("Condition").is_some();
            assert_eq!(has_condition, service == "cloudwatch.amazonaws.com", "{statement}");
            services.insert(service);
        }
        let expected = ["cloudwatch.amazonaws.com", "events.amazonaws.com"];
        assert_eq!(services, expected.map(str::to_owned).into(), "{name}");
    }
}

#[test]
fn what_a_rule_could_not_deliver_is_an_alarm() {
    for (name, alarm, rule) in
        [("stream.yaml", "EventsAlarm", "TaskRule"), ("handlers.yaml", "HealingEventsAlarm", "HealingRule")]
    {
        let template = Template::read(name);
        let rules: Vec<_> = template.of_type("AWS::Events::Rule").into_iter().map(|(name, _)| name).collect();
        assert_eq!(rules, [rule]);
        let alarm = &template.resource(alarm)["Properties"];
        assert_eq!(
            (&alarm["Namespace"], &alarm["MetricName"]),
            (&json!("AWS/Events"), &json!("FailedInvocations"))
        );
        assert_eq!(alarm["Dimensions"], json!([{ "Name": "RuleName", "Value": { "Ref": rule } }]));
    }
}
