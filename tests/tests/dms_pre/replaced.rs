//! Tasks that the change set replaces.

use serde_json::{Value, json};
use stage::dms::{Arn, TaskStatus};
use stage::request::UNDER_TEST;
use stage::stack::{Detail, ResourceChange, modified};

use super::{Scene, TASK};

fn sets(property: &str) -> Detail {
    Detail::edited("Properties", Some(property))
}

/// The change that replaces the task, with what CloudFormation tells of the new one.
fn replaced(scene: &Scene, details: Vec<Detail>, after: Option<Value>) -> ResourceChange {
    let change = modified("Orders", TASK, &scene.orders);
    ResourceChange { replacement: Some("True".to_owned()), details, after, ..change }
}

/// The change of an endpoint at PostgreSQL.
fn endpoint(arn: &Arn, slot: Option<&str>) -> ResourceChange {
    let after = json!({ "EngineName": "postgres", "PostgreSqlSettings": { "SlotName": slot } });
    ResourceChange { after: Some(after), ..modified("Source", "AWS::DMS::Endpoint", arn) }
}

/// What takes the ARN of an endpoint that is replaced.
fn another_source() -> Detail {
    Detail { cause: Some("Source".to_owned()), ..sets("SourceEndpointArn") }
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_would_lose_the_position_is_refused_before_anything_is_stopped() {
    const PAUSED: Option<&str> = None;
    const SLOT: Option<&str> = Some("replication slot");
    type Prepare = fn(&Scene) -> Vec<ResourceChange>;
    let rows: [(&str, Prepare, Option<&str>); 16] = [
        ("MySQL", |it| vec![replaced(it, vec![], None)], PAUSED),
        ("PostgreSQL", |it| vec![replaced(it.of_postgres(None), vec![], None)], SLOT),
        ("with a slot", |it| vec![replaced(it.of_postgres(Some("s")), vec![], None)], PAUSED),
        (
            "perhaps replaced",
            |it| {
                let change = replaced(it.of_postgres(None), vec![], None);
                vec![ResourceChange { replacement: Some("Conditional".to_owned()), ..change }]
            },
            SLOT,
        ),
        ("in place", |it| vec![modified("Orders", TASK, &it.of_postgres(None).orders)], PAUSED),
        (
            "its slot comes with the deployment",
            |it| vec![replaced(it.of_postgres(None), vec![], None), endpoint(&it.wiring.source, Some("s"))],
            PAUSED,
        ),
        (
            "its slot goes with the deployment",
            |it| vec![replaced(it.of_postgres(Some("s")), vec![], None), endpoint(&it.wiring.source, None)],
            SLOT,
        ),
        (
            "another endpoint with a slot",
            |it| {
                vec![
                    replaced(it.of_postgres(None), vec![another_source()], None),
                    endpoint(&it.wiring.source, Some("s")),
                ]
            },
            PAUSED,
        ),
        (
            "another endpoint without a slot",
            |it| {
                let new = endpoint(&Arn::new("arn:aws:dms:eu-west-1:123456789012:endpoint:O"), None);
                vec![replaced(it.of_postgres(Some("s")), vec![another_source()], None), new]
            },
            SLOT,
        ),
        (
            "another endpoint of which nothing is told",
            |it| vec![replaced(it.of_postgres(None), vec![sets("SourceEndpointArn")], None)],
            PAUSED,
        ),
        (
            "a position is worth nothing without a slot",
            |it| {
                let after = json!({ "MigrationType": "cdc", "CdcStartPosition": "4AF/B00000D0" });
                vec![replaced(it.of_postgres(None), vec![sets("CdcStartPosition")], Some(after))]
            },
            SLOT,
        ),
        (
            "everything is loaded again",
            |it| {
                let after = json!({ "MigrationType": "full-load-and-cdc" });
                vec![replaced(it.of_postgres(None), vec![sets("MigrationType")], Some(after))]
            },
            PAUSED,
        ),
        (
            "the type is not told",
            |it| vec![replaced(it.of_postgres(None), vec![sets("MigrationType")], None)],
            PAUSED,
        ),
        ("MongoDB", |it| vec![replaced(it.of("mongodb"), vec![], None)], Some("a source of mongodb")),
        (
            "MongoDB, with a position",
            |it| {
                let after = json!({ "MigrationType": "cdc", "CdcStartTime": 1_795_000_000 });
                vec![replaced(it.of("mongodb"), vec![sets("CdcStartTime")], Some(after))]
            },
            PAUSED,
        ),
        (
            "MongoDB, with a position that stayed in the template",
            |it| {
                let after = json!({ "MigrationType": "cdc", "CdcStartTime": 1_795_000_000 });
                vec![replaced(it.of("mongodb"), vec![sets("ReplicationInstanceArn")], Some(after))]
            },
            Some("a source of mongodb"),
        ),
    ];
    for (name, prepare, refused) in rows {
        let scene = Scene::new(TaskStatus::Running);
        let users = scene.dms.add_task("users", TaskStatus::Running);
        scene.stack.has("Users", &users);
        let changes = prepare(&scene);
        scene.stack.changes([changes, vec![modified("Users", TASK, &users)]].concat());
        let deployed = scene.deploy().await;
        match refused {
            None => assert_eq!(deployed.unwrap().0, 2, "{name}"),
            Some(why) => {
                let error = format!("{:#}", deployed.unwrap_err());
                assert!(
                    error.contains("1 of 2 failed: orders (Orders): ") && error.contains(why),
                    "{name}: {error}"
                );
                assert_eq!(scene.status(), TaskStatus::Running, "{name}");
                assert_eq!(scene.dms.calls("StopReplicationTask"), 0, "{name}");
                assert_eq!(scene.dms.calls("AddTagsToResource"), 0, "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_load_hands_no_position_to_a_task_of_changes() {
    for (position, refused) in [(None, true), (Some("mysql-bin-changelog.000024:373"), false)] {
        let scene = Scene::new(TaskStatus::Running);
        let load = scene.dms.add_wired_task("load", TaskStatus::Running, "full-load", &scene.wiring);
        scene.stack.replaces("Orders", &load);
        let details = vec![sets("MigrationType"), sets("CdcStartPosition")];
        let after = json!({ "MigrationType": "cdc", "CdcStartPosition": position });
        let change = replaced(&scene, details, Some(after));
        scene.stack.changes(vec![ResourceChange { physical_id: Some(load.to_string()), ..change }]);
        let error = scene.deploy().await.err().map(|error| format!("{error:#}"));
        assert_eq!(error.is_some(), refused, "{error:?}");
        assert!(error.is_none_or(|why| why.contains("a full load keeps no position")));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stopped_to_undo_what_was_refused() {
    let scene = Scene::new(TaskStatus::Running);
    scene.of_postgres(None);
    scene.stack.changes(vec![replaced(&scene, vec![], None)]);
    assert!(scene.deploy().await.is_err());
    let pre_is = |status| scene.stack.resource_is(UNDER_TEST, "Custom::DmsPre", status);
    pre_is("UPDATE_FAILED");
    scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    scene.stack.execution_is("EXECUTE_FAILED");
    pre_is("UPDATE_IN_PROGRESS");
    assert_eq!(scene.deploy().await.unwrap().0, 0);
    assert_eq!(scene.status(), TaskStatus::Running);
    // What has begun to change is put back, and rests for that.
    scene.stack.resource_is("Source", "AWS::DMS::Endpoint", "UPDATE_FAILED");
    assert_eq!(scene.deploy().await.unwrap().0, 1);
}
