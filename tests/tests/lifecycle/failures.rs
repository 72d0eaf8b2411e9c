//! Updates that fail at a task: CloudFormation never comes to DmsPost, and the event at the stack's end heals.

use serde_json::json;
use stage::cloud::stacks::Failure;
use stage::dms::TaskStatus::{Creating, Modifying, Ready, Running, Starting, Stopped, Stopping};
use stage::play::mappings;

use crate::shared::on_stage;
use crate::stream::{REFUSED, Stream};

#[test]
fn after_a_rollback_all_that_was_paused_runs_again() {
    on_stage(async |stage| {
        let (mut stream, [task, other]) = Stream::rolled_back(stage, "undone").await;
        stream.happened(&[
            ("DmsPre", "UPDATE_COMPLETE"),
            ("ReplicationTask", "UPDATE_COMPLETE"),
            ("Other", "UPDATE_FAILED"),
            ("", "UPDATE_ROLLBACK_IN_PROGRESS"),
            ("ReplicationTask", "UPDATE_COMPLETE"),
            ("Other", "UPDATE_COMPLETE"),
            ("", "UPDATE_ROLLBACK_COMPLETE"),
        ]);
        assert!(stream.events("DmsPost").is_empty());
        let why = stream.reason("Other", "UPDATE_FAILED");
        assert!(why.contains("Error in mapping rules"), "{why}");
        stream.healed("UPDATE_ROLLBACK_COMPLETE", &[&task, &other]).await;

        let life = vec![Creating, Ready, Starting, Running, Stopping, Stopped];
        let back = vec![Modifying, Stopped, Starting, Running];
        // The other one was refused before it was put back.
        assert_eq!(stream.life(&other), [life.clone(), back.clone()].concat());
        assert_eq!(stream.life(&task), [life, vec![Modifying, Stopped], back].concat());
        stream.delete().await;
    });
}

#[test]
fn an_update_that_fails_without_a_rollback_is_healed_and_can_be_repaired() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "failed");
        stream.add_task("Other");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let task = stream.task("ReplicationTask").await;
        let other = stream.task("Other").await;

        *stream.property("ReplicationTask", "TableMappings") = json!(REFUSED);
        let change_set = stream.change_set().await;
        assert_eq!(stream.execute(&change_set, Failure::Stays).await, "UPDATE_FAILED");
        stream.happened(&[("ReplicationTask", "UPDATE_FAILED"), ("", "UPDATE_FAILED")]);
        assert_eq!(stream.listed("ReplicationTask").await, "UPDATE_FAILED");
        assert_eq!(
            stream.reason("failed", "UPDATE_FAILED"),
            "The following resource(s) failed to update: [ReplicationTask]. "
        );
        assert!(stream.events("DmsPost").is_empty());
        stream.healed("UPDATE_FAILED", &[&task]).await;
        let mut life = vec![Creating, Ready, Starting, Running, Stopping, Stopped, Starting, Running];
        assert_eq!(stream.life(&task), life);

        *stream.property("ReplicationTask", "TableMappings") = json!(mappings("examples"));
        let change_set = stream.change_set().await;
        assert_eq!(stream.execute(&change_set, Failure::Stays).await, "UPDATE_COMPLETE");
        life.extend([Stopping, Stopped, Modifying, Stopped, Starting, Running]);
        assert_eq!(stream.life(&task), life);
        assert_eq!(stream.life(&other), [Creating, Ready, Starting, Running].to_vec());
        stream.delete().await;
    });
}
