//! What the roles allow, held against what the handlers do.

use std::collections::BTreeSet;
use std::time::Duration;

use custom_resource::{Deadline, Resource};
use replication::mark::Revision;
use replication::post::DmsPostProperties;
use replication::pre::DmsPreProperties;
use replication::{DmsPost, DmsPre};
use serde_json::{Value, json};
use stage::aws::Aws;
use stage::dms::{Arn, Dms, Event, TaskStatus};
use stage::stack::{ResourceChange, STACK, Stack, modified};

use super::document::Template;
use super::functions::{actions, statements};

/// The actions of a service that a role allows.
fn allowed(role: &str, service: &str) -> BTreeSet<String> {
    let handlers = Template::read("handlers.yaml");
    let policies = &handlers.resource(role)["Properties"]["Policies"];
    let all = statements(policies).into_iter().flat_map(actions);
    let of_service = |action: String| Some(action.strip_prefix(service)?.to_owned());
    all.filter_map(of_service).collect()
}

/// The operations that were called.
fn called(dms: &Dms) -> BTreeSet<String> {
    let calls = dms.history().into_iter().filter_map(|it| match it.event {
        Event::Call { operation, .. } => Some(operation),
        _ => None,
    });
    calls.collect()
}

/// Two tasks, one of them stopped and with a connection that DMS has forgotten, in a stack that is being updated.
fn scene() -> (Stack, Dms, [Arn; 2]) {
    let (stack, dms) = (Stack::new("UPDATE_IN_PROGRESS"), Dms::default());
    let wiring = dms.add_wiring("orders");
    let orders = dms.add_wired_task("orders", TaskStatus::Stopped, "cdc", &wiring);
    dms.forget_connections(&wiring.source);
    stack.has("Orders", &orders);
    let users = dms.add_task("users", TaskStatus::Running);
    stack.has("Users", &users);
    (stack, dms, [orders, users])
}

/// What the change set says of a task that it replaces.
fn replaced(logical_id: &str, task: &Arn) -> ResourceChange {
    let change = modified(logical_id, "AWS::DMS::ReplicationTask", task);
    ResourceChange { replacement: Some("True".to_owned()), ..change }
}

#[tokio::test(start_paused = true)]
async fn dms_pre_may_do_what_it_does_and_no_more() {
    let (stack, dms, [_, users]) = scene();
    // It has no room for one more tag: an old mark gives way to that of the request.
    let tags: Vec<_> = (0..9).map(|n| json!({ "Key": format!("k{n}"), "Value": "v" })).collect();
    dms.call("AddTagsToResource", &json!({ "ResourceArn": users.as_str(), "Tags": tags })).unwrap();
    dms.mark(&users, "r-0");
    stack.changes(vec![replaced("Users", &users)]);
    let properties = DmsPreProperties { deployment_id: "7".to_owned() };
    let handler = DmsPre::new(&plays::config(&Aws::new(&dms, &stack)));
    handler.update(plays::decoded(properties)).await.unwrap();
    handler.delete(plays::decoded(())).await.unwrap();
    assert_eq!(called(&dms), allowed("DmsPreRole", "dms:"));
}

#[tokio::test(start_paused = true)]
async fn dms_post_may_do_what_it_does_and_no_more() {
    let (stack, dms, [orders, _]) = scene();
    let (old, new) = (dms.add_task("old", TaskStatus::Stopped), dms.add_task("new", TaskStatus::Ready));
    stack.replaces("New", &new);
    stack.changes(vec![replaced("New", &old)]);
    // It marks a task itself only if that has lost the mark of dms-pre.
    let orders = replication::task::Arn::new(orders.as_str());
    let after = Revision::new("r-1", dms.clock().now() + Duration::from_secs(1), [&orders]).to_string();
    let properties = DmsPostProperties { after };
    let handler = DmsPost::new(&plays::config(&Aws::new(&dms, &stack)));
    handler.update(plays::decoded(properties)).await.unwrap();
    stack.becomes("UPDATE_COMPLETE");
    let event = json!({
        "version": "0", "id": "b2f1", "detail-type": "CloudFormation Stack Status Change", "source": "aws.cloudformation",
        "account": "123456789012", "time": "2026-11-21T10:00:00Z", "region": "eu-west-1", "resources": [STACK],
        "detail": { "stack-id": STACK, "status-details": { "status": "UPDATE_COMPLETE" } },
    });
    let deadline = Deadline::after(Duration::from_secs(885));
    handler.notified(event, deadline).await.unwrap();
    stack.becomes("DELETE_IN_PROGRESS");
    handler.delete(plays::decoded(())).await.unwrap();

    assert_eq!(called(&dms), allowed("DmsPostRole", "dms:"));
}

#[test]
fn both_may_read_their_own_stack_its_change_sets_and_its_events() {
    let reading = ["DescribeChangeSet", "DescribeStackEvents", "DescribeStacks", "ListStackResources"];
    let reading: BTreeSet<_> = reading.map(str::to_owned).into();
    for role in ["DmsPreRole", "DmsPostRole"] {
        assert_eq!(allowed(role, "cloudformation:"), reading);
    }
}

#[test]
fn both_read_only_the_stacks_that_they_serve_and_healing_hears_of_no_others() {
    let handlers = Template::read("handlers.yaml");
    let served =
        "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/${StackNames}/*";
    let served = json!({ "Fn::Sub": served });
    for role in ["DmsPreRole", "DmsPostRole"] {
        let policies = &handlers.resource(role)["Properties"]["Policies"];
        let on_stacks = |it: &&Value| actions(it).contains(&"cloudformation:DescribeStacks".to_owned());
        let found: Vec<_> = statements(policies).into_iter().filter(on_stacks).collect();
        assert_eq!(found.len(), 1, "{role}");
        assert_eq!(found[0]["Resource"], served, "{role}");
    }
    let rule = &handlers.resource("HealingRule")["Properties"]["EventPattern"];
    assert_eq!(rule["detail"]["stack-id"], json!([{ "wildcard": served }]));
}

#[test]
fn dms_is_given_a_user_that_db_init_makes_and_never_the_master() {
    let ready = Template::read("db-init.yaml");
    let reads = &ready.resource("DbInitRole")["Properties"]["Policies"];
    let reads: Vec<_> = statements(reads)
        .into_iter()
        .filter(|it| actions(it) == ["secretsmanager:GetSecretValue"])
        .map(|it| it["Resource"].clone())
        .collect();
    let secrets = ["MasterSecretArn", "ReplicationUserSecret"];
    assert_eq!(reads, [json!(secrets.map(|name| json!({ "Ref": name })))]);
}
