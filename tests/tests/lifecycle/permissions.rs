//! What the handlers call in a stack's life, held against the policies of their roles. The cloud here denies what a policy
//! doesn't allow; so what is left to show is that nothing is allowed that nobody needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stage::play::mappings;

use crate::shared::alone;
use crate::stream::Stream;

/// Actions that Lambda needs in the role's name. It is not asked for them here.
const FOR_LAMBDA: [&str; 3] = ["logs:CreateLogStream", "logs:PutLogEvents", "lambda:InvokeFunction"];

/// What no life without faults leads to, and when it is called. `template/permissions.rs` and `tags.rs` play these.
const IN_FAULTS: [(&str, &str, &str); 4] = [
    (
        "DmsPreRole",
        "cloudformation:DescribeStackEvents",
        "an update is rolled back: what has not begun to change need not rest for that",
    ),
    (
        "DmsPreRole",
        "dms:RemoveTagsFromResource",
        "a task has ten tags, the mark of an earlier request among them, which gives way",
    ),
    (
        "DmsPostRole",
        "dms:AddTagsToResource",
        "a task has lost its mark: it gets another one before it is started",
    ),
    (
        "DmsPostRole",
        "cloudformation:DescribeStackEvents",
        "a task rests without a mark after a failed update: healing compares DMS's dates with the stack's",
    ),
];

#[test]
fn the_roles_allow_what_is_called_in_a_stacks_life_and_nothing_else() {
    // The roles are those of all stacks there are.
    alone(async |stage| {
        let mut stream = Stream::new(stage, "permitted");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        *stream.property("ReplicationTask", "TableMappings") = json!(mappings("examples"));
        stream.property("TargetEndpoint", "KinesisSettings")["IncludeNullAndEmpty"] = json!(false);
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        *stream.property("ReplicationTask", "ResourceIdentifier") = json!("permitted-new");
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        stream.delete().await;

        let mut called = BTreeMap::<&str, BTreeSet<String>>::new();
        for call in stage.cloud.role_calls().unwrap() {
            let roles = ["DmsPreRole", "DmsPostRole", "LastWordsRole"];
            let is = |role: &&&str| call.role.starts_with(&format!("sluice-{role}-"));
            let Some(role) = roles.iter().find(is) else {
                continue;
            };
            assert!(call.allowed, "{call:?}");
            called.entry(role).or_default().insert(call.action);
        }
        assert_eq!(called.keys().copied().collect::<Vec<_>>(), ["DmsPostRole", "DmsPreRole"]);
        let handlers = stage.cloud.package("handlers.yaml").await.unwrap();
        let handlers: Value = serde_json::from_str(&handlers).unwrap();
        for (role, mut called) in called {
            for (_, action, when) in IN_FAULTS.iter().filter(|it| it.0 == role) {
                assert!(called.insert((*action).to_owned()), "not only when {when}");
            }
            let mut allowed = actions(&handlers["Resources"][role]["Properties"]["Policies"]);
            for action in FOR_LAMBDA {
                assert!(allowed.remove(action), "{role} lacks {action}");
            }
            assert_eq!(called, allowed, "{role}");
        }
    });
}

/// All actions of all statements below.
fn actions(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(entries) => {
            let own = match entries.get("Action") {
                Some(Value::String(action)) => vec![action.clone()],
                Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            own.into_iter().chain(entries.values().flat_map(actions)).collect()
        }
        Value::Array(all) => all.iter().flat_map(actions).collect(),
        _ => BTreeSet::new(),
    }
}
