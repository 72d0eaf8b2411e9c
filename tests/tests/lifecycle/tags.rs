//! Where CloudFormation takes tags off a task that it updates, unless the template has them, a pause mark goes with the
//! task's own update.

use serde_json::json;
use stage::dms::StartType;
use stage::dms::TaskStatus::{Creating, Modifying, Ready, Running, Starting, Stopped, Stopping};
use stage::play::mappings;

use crate::shared::where_tags_are_reconciled;
use crate::stream::Stream;

/// What is done to a task in its own update: the mark that dms-pre has put on is taken off again.
const MARK_GOES: [&str; 2] = ["ModifyReplicationTask", "RemoveTagsFromResource"];

#[test]
fn a_task_is_resumed_though_its_own_update_took_the_mark_off() {
    where_tags_are_reconciled(async |stage| {
        let mut stream = Stream::new(stage, "reconciled");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let task = stream.task("ReplicationTask").await;

        *stream.property("ReplicationTask", "TableMappings") = json!(mappings("examples"));
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        let done = stream.done_to(&task);
        assert!(done.windows(2).any(|it| it == MARK_GOES), "{done:?}");
        let life =
            [Creating, Ready, Starting, Running, Stopping, Stopped, Modifying, Stopped, Starting, Running];
        assert_eq!(stream.life(&task), life);
        assert_eq!(stream.dms.runs(&task)[1].start_type, StartType::Resume);
        assert!(!stream.is_marked(&task));

        // And it is as it would be with the mark: an operator's stop is kept.
        stream.dms.operator_stops(&task);
        stream.reaches(&task, Stopped).await;
        *stream.property("ReplicationTask", "TableMappings") = json!(mappings("comments"));
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        assert_eq!(stream.life(&task)[10..], [Stopping, Stopped, Modifying, Stopped]);
        stream.delete().await;
    });
}

#[test]
fn a_rollback_is_healed_though_the_tasks_updates_took_the_marks_off() {
    where_tags_are_reconciled(async |stage| {
        let (mut stream, [task, other]) = Stream::rolled_back(stage, "unmarked").await;
        stream.happened(&[("DmsPre", "UPDATE_COMPLETE"), ("Other", "UPDATE_FAILED")]);
        assert!(stream.events("DmsPost").is_empty());
        for task in [&task, &other] {
            stream.runs(task).await;
            let done = stream.done_to(task);
            assert!(done.contains(&"RemoveTagsFromResource".to_owned()), "{done:?}");
            let life = stream.life(task);
            assert!(life.ends_with(&[Modifying, Stopped, Starting, Running]), "{life:?}");
        }
        stream.delete().await;
    });
}
