//! What the roles allow, held against what the handlers do.

use std::collections::BTreeSet;
use std::time::Duration;

use custom_resource::{Deadline, Resource};
use replication::post::DmsPostProperties;
use replication::pre::DmsPreProperties;
use replication::task::{Arn, TaskStatus};
use replication::tasks::Tasks;
use replication::{DmsPost, DmsPre};
use serde_json::json;
use stage::dms::{Dms, Event, Refusal};
use stage::request;
use stage::stack::{STACK, Stack};

use super::document::Template;
use super::functions::{actions, statements};

/// The actions of a service that a role allows.
fn allowed(role: &str, service: &str) -> BTreeSet<String> {
    let stream = Template::read("stream.yaml");
    let policies = &stream.resource(role)["Properties"]["Policies"];
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
fn scene() -> (Stack, Dms, Arn) {
    let (stack, dms) = (Stack::new("UPDATE_IN_PROGRESS"), Dms::default());
    let wiring = dms.add_wiring("orders");
    let orders = dms.add_wired_task("orders", TaskStatus::Stopped, "cdc", &wiring);
    dms.forget_connections(&wiring.source);
    stack.has("Orders", &orders);
    stack.has("Users", &dms.add_task("users", TaskStatus::Running));
    (stack, dms, orders)
}

#[tokio::test(start_paused = true)]
async fn dms_pre_may_do_what_it_does_and_no_more() {
    let (stack, dms, _) = scene();
    let refusal = Refusal::invalid_state("The task is not running.");
    dms.fail_next("StopReplicationTask", refusal);
    let properties = DmsPreProperties { deployment_id: "7".to_owned() };
    let handler = DmsPre::new(stack, dms.clone());
    handler.update(request::decoded(properties)).await.unwrap();
    handler.delete(request::decoded(())).await.unwrap();
    assert_eq!(called(&dms), allowed("DmsPreRole", "dms:"));
}

#[tokio::test(start_paused = true)]
async fn dms_post_may_do_what_it_does_and_no_more() {
    let (stack, dms, orders) = scene();
    dms.mark(&orders, "r-1").await.unwrap();
    let marking = BTreeSet::from(["AddTagsToResource".to_owned()]);
    assert_eq!(called(&dms), marking, "what dms-pre did");

    let properties = DmsPostProperties { after: "r-1-0".to_owned() };
    let handler = DmsPost::new(stack.clone(), dms.clone());
    handler.update(request::decoded(properties)).await.unwrap();
    stack.becomes("UPDATE_COMPLETE");
    let event = json!({
        "version": "0", "id": "b2f1", "detail-type": "CloudFormation Stack Status Change", "source": "aws.cloudformation",
        "account": "123456789012", "time": "2026-11-21T10:00:00Z", "region": "eu-west-1", "resources": [STACK],
        "detail": { "stack-id": STACK, "status-details": { "status": "UPDATE_COMPLETE" } },
    });
    let deadline = Deadline::after(Duration::from_secs(885));
    handler.notified(event, deadline).await.unwrap();
    stack.becomes("DELETE_IN_PROGRESS");
    handler.delete(request::decoded(())).await.unwrap();

    let own: BTreeSet<_> = called(&dms).difference(&marking).cloned().collect();
    assert_eq!(own, allowed("DmsPostRole", "dms:"));
    assert_eq!(dms.calls("AddTagsToResource"), 1, "only dms-pre marks");
}

#[test]
fn both_may_read_their_own_stack_and_its_change_sets() {
    let reading = ["DescribeChangeSet", "DescribeStacks", "ListStackResources"];
    let reading = reading.map(str::to_owned).into();
    for role in ["DmsPreRole", "DmsPostRole"] {
        assert_eq!(allowed(role, "cloudformation:"), reading, "{role}");
    }
}

#[test]
fn dms_is_given_a_user_that_db_init_makes_and_never_the_master() {
    let database = Template::read("database.yaml");
    let reads = database.resource("DbInitRole")["Properties"]["Policies"].clone();
    let reads: Vec<_> = statements(&reads)
        .into_iter()
        .filter(|it| actions(it) == ["secretsmanager:GetSecretValue"])
        .map(|it| it["Resource"].clone())
        .collect();
    let secrets = ["DatabaseSecret", "ReplicationUserSecret"];
    assert_eq!(reads, [json!(secrets.map(|name| json!({ "Ref": name })))]);

    for secret in secrets {
        let attachment = database.resource(&format!("{secret}Attachment"));
        assert_eq!(
            attachment["Properties"],
            json!({
                "SecretId": { "Ref": secret },
                "TargetType": "AWS::RDS::DBCluster",
                "TargetId": { "Ref": "DatabaseCluster" },
            })
        );
    }
    let of_dms = json!({ "Ref": "ReplicationUserSecretAttachment" });
    let db_init = &database.resource("DbInit")["Properties"];
    assert_eq!(db_init["ReplicationUserSecretArn"], of_dms);
    assert_ne!(db_init["SecretArn"], of_dms);
    // What `make deploy-stream` hands on.
    assert_eq!(database.get("Outputs", "SecretArn")["Value"], of_dms);
}
