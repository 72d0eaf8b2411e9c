//! Tasks that are replaced: the position goes from one to the other, and never do both run.

use std::time::Duration;

use serde_json::json;
use stage::dms::Arn;
use stage::dms::TaskStatus::{
    Creating, Deleting, Failed, Modifying, Ready, Running, Starting, Stopped, Stopping,
};
use stage::dms::{Dms, StartType};
use stage::play::mappings;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::shared::on_stage;
use crate::stream::Stream;

/// The checkpoint that a task will have as soon as it rests. Once it is deleted, nobody knows it any more.
fn next_checkpoint(dms: &Dms, task: &Arn) -> JoinHandle<String> {
    let (dms, task) = (dms.clone(), task.clone());
    tokio::spawn(async move {
        loop {
            if let Some(checkpoint) = dms.checkpoint(&task) {
                return checkpoint;
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
}

#[test]
fn a_task_goes_on_where_the_one_that_it_replaces_stopped() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "replaced");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let old = stream.task("ReplicationTask").await;
        let checkpoint = next_checkpoint(stream.dms, &old);

        // An endpoint that is replaced takes its task with it.
        *stream.property("TargetEndpoint", "ResourceIdentifier") = json!("replaced-endpoint");
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        stream.happened(&[
            ("DmsPre", "UPDATE_COMPLETE"),
            ("TargetEndpoint", "UPDATE_COMPLETE"),
            ("ReplicationTask", "UPDATE_COMPLETE"),
            ("DmsPost", "UPDATE_COMPLETE"),
            ("", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
            ("ReplicationTask", "DELETE_COMPLETE"),
            ("TargetEndpoint", "DELETE_COMPLETE"),
            ("", "UPDATE_COMPLETE"),
        ]);
        let new = stream.task("ReplicationTask").await;
        assert_ne!(new, old);
        let life = vec![Creating, Ready, Starting, Running];
        assert_eq!(stream.life(&new), life);
        let runs = stream.dms.runs(&new);
        assert_eq!(runs[0].start_type, StartType::Start);
        assert_eq!(runs[0].given, Some(checkpoint.await.unwrap()));
        assert_eq!(stream.life(&old), [life, vec![Stopping, Stopped, Deleting]].concat());
        assert_eq!(stream.dms.status(&old), None);
        assert!(stream.last(&old, &Stopped) < stream.last(&new, &Starting));
        stream.delete().await;
    });
}

#[test]
fn a_replacement_that_ran_already_gives_way_when_it_is_rolled_back() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "withdrawn");
        stream.add_task("Other");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let old = stream.task("ReplicationTask").await;
        let other = stream.task("Other").await;

        // DmsPost starts the new task and fails, since the other task does.
        *stream.property("ReplicationTask", "ResourceIdentifier") = json!("withdrawn-new");
        *stream.property("Other", "TableMappings") = json!(mappings("examples"));
        stream.dms.fail_next_run(&other, "Error executing source loop");
        let checkpoint = next_checkpoint(stream.dms, &old);
        assert_eq!(stream.deploy().await, "UPDATE_ROLLBACK_COMPLETE");
        let why = stream.reason("DmsPost", "UPDATE_FAILED");
        assert!(why.contains("Error executing source loop"), "{why}");
        stream.happened(&[
            ("ReplicationTask", "UPDATE_COMPLETE"),
            ("DmsPost", "UPDATE_FAILED"),
            ("", "UPDATE_ROLLBACK_IN_PROGRESS"),
            ("DmsPre", "UPDATE_COMPLETE"),
            ("DmsPost", "UPDATE_COMPLETE"),
            ("", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"),
            ("ReplicationTask", "DELETE_COMPLETE"),
            ("", "UPDATE_ROLLBACK_COMPLETE"),
        ]);
        assert_eq!(stream.task("ReplicationTask").await, old);
        let new = Arn::new(old.as_str().rsplit_once(':').unwrap().0.to_owned() + ":withdrawn-new");
        let life = vec![Creating, Ready, Starting, Running, Stopping, Stopped, Deleting];
        assert_eq!(stream.life(&new), life);
        assert_eq!(stream.dms.runs(&new)[0].given, Some(checkpoint.await.unwrap()));
        assert_eq!(stream.life(&old), [&life[..6], &[Starting, Running]].concat());
        assert_eq!(stream.dms.runs(&old)[1].start_type, StartType::Resume);
        assert!(stream.last(&new, &Stopped) < stream.last(&old, &Starting));
        assert_eq!(
            stream.life(&other)[4..],
            [Stopping, Stopped, Modifying, Stopped, Starting, Failed, Modifying, Failed, Starting, Running]
        );
        for task in [&old, &other] {
            assert!(!stream.is_marked(task));
        }
        stream.delete().await;
    });
}

#[test]
fn in_another_vpc_there_is_another_instance_and_the_task_goes_on_there() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "moved");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let old = stream.task("ReplicationTask").await;

        stream.give(stage.cloud.network("elsewhere").await.unwrap());
        let checkpoint = next_checkpoint(stream.dms, &old);
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        stream.happened(&[
            ("DmsPre", "UPDATE_COMPLETE"),
            ("ReplicationSubnetGroup", "UPDATE_COMPLETE"),
            ("ReplicationInstance", "UPDATE_COMPLETE"),
            ("ReplicationTask", "UPDATE_COMPLETE"),
            ("DmsPost", "UPDATE_COMPLETE"),
            ("", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
            ("ReplicationTask", "DELETE_COMPLETE"),
            ("ReplicationInstance", "DELETE_COMPLETE"),
            ("ReplicationSubnetGroup", "DELETE_COMPLETE"),
            ("", "UPDATE_COMPLETE"),
        ]);
        let new = stream.task("ReplicationTask").await;
        assert_ne!(new, old);
        assert_eq!(stream.dms.runs(&new)[0].given, Some(checkpoint.await.unwrap()));
        assert_eq!(stream.dms.status(&new), Some(Running));
        assert_eq!(stream.dms.status(&old), None);
        stream.delete().await;
    });
}

#[test]
fn a_task_of_postgresql_is_replaced_only_with_a_slot_that_is_named_and_nothing_stops_before() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "slot");
        let given = [("SourceEngineName", "aurora-postgresql"), ("SourceDatabaseName", "shop")];
        stream.give(given.map(owned).into());
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let old = stream.task("ReplicationTask").await;

        stream.give([owned(("TaskResourceIdentifier", "slot-new"))].into());
        assert_eq!(stream.deploy().await, "UPDATE_ROLLBACK_COMPLETE");
        let why = stream.reason("DmsPre", "UPDATE_FAILED");
        assert!(why.contains("PostgreSQL keeps the position in a replication slot"), "{why}");
        assert_eq!(stream.life(&old), [Creating, Ready, Starting, Running]);

        // Somebody has made a slot, from which what comes since can be read.
        const BIRTH: &str = "mysql-bin-changelog.000002:154";
        stream.dms.has_slot("sluice_slot");
        stream.give([("SourceSlotName", "sluice_slot"), ("StartPosition", BIRTH)].map(owned).into());
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        let new = stream.task("ReplicationTask").await;
        assert_eq!(stream.dms.runs(&new)[0].from.as_deref(), Some(BIRTH));
        assert_eq!(stream.dms.status(&new), Some(Running));

        // From now on, a task can go on in the slot where another has stopped.
        stream.give([owned(("TaskResourceIdentifier", "slot-newer"))].into());
        let checkpoint = next_checkpoint(stream.dms, &new);
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        let newer = stream.task("ReplicationTask").await;
        assert_eq!(stream.dms.runs(&newer)[0].from, Some(checkpoint.await.unwrap()));
        stream.delete().await;
    });
}

#[test]
fn a_task_begins_at_a_position_that_its_deployment_sets_and_loads_again_with_another_migration_type() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "position");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");

        const RESCUE: &str = "mysql-bin-changelog.000002:200";
        stream.give([("StartPosition", RESCUE), ("TaskResourceIdentifier", "position-2")].map(owned).into());
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        let second = stream.task("ReplicationTask").await;
        assert_eq!(stream.dms.runs(&second)[0].given.as_deref(), Some(RESCUE));

        // The position stays in the template, and is a thing of the past.
        stream.give([owned(("TaskResourceIdentifier", "position-3"))].into());
        let checkpoint = next_checkpoint(stream.dms, &second);
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        let third = stream.task("ReplicationTask").await;
        assert_eq!(stream.dms.runs(&third)[0].given, Some(checkpoint.await.unwrap()));

        let load = [
            ("MigrationType", "full-load-and-cdc"),
            ("BeforeImages", "false"),
            ("StartPosition", ""),
            ("TaskResourceIdentifier", ""),
        ];
        stream.give(load.map(owned).into());
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        stream.said("DmsPre", "the task that replaces it loads everything again").await;
        let loads = stream.task("ReplicationTask").await;
        assert_ne!(loads, third);
        let runs = stream.dms.runs(&loads);
        assert_eq!((runs.len(), runs[0].start_type, runs[0].given.as_ref()), (1, StartType::Start, None));
        stream.delete().await;
    });
}

fn owned((name, value): (&'static str, &str)) -> (&'static str, String) {
    (name, value.to_owned())
}
