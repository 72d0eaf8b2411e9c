//! Updates of a stack with several tasks: who is paused, and who is not.

use serde_json::json;
use stage::cloud::stacks::Failure;
use stage::dms::StartType;
use stage::dms::TaskStatus::{Creating, Deleting, Modifying, Ready, Running, Starting, Stopped, Stopping};
use stage::play::mappings;
use stage::replica::rules::Selection;

use crate::shared::on_stage;
use crate::stream::Stream;

#[test]
fn of_two_tasks_only_the_one_that_an_update_touches_is_paused() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "touched");
        stream.add_task("Other");
        // An endpoint of its own: the first one's changes below.
        *stream.resource("OtherEndpoint") = stream.resource("TargetEndpoint").clone();
        *stream.property("Other", "TargetEndpointArn") = json!({ "Ref": "OtherEndpoint" });
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let task = stream.task("ReplicationTask").await;
        let other = stream.task("Other").await;
        let mut life = vec![Creating, Ready, Starting, Running];
        let mut undisturbed = life.clone();
        assert_eq!(stream.life(&task), life);
        assert_eq!(stream.life(&other), undisturbed);

        // A change of the task itself.
        *stream.property("ReplicationTask", "TableMappings") = json!(mappings("examples"));
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        life.extend([Stopping, Stopped, Modifying, Stopped, Starting, Running]);
        assert_eq!(stream.life(&task), life);
        assert_eq!(stream.life(&other), undisturbed);
        stream.happened(&[
            ("DmsPre", "UPDATE_COMPLETE"),
            ("ReplicationTask", "UPDATE_COMPLETE"),
            ("DmsPost", "UPDATE_COMPLETE"),
            ("", "UPDATE_COMPLETE"),
        ]);
        assert!(stream.events("Other").is_empty());

        // A change of its endpoint.
        stream.property("TargetEndpoint", "KinesisSettings")["IncludeNullAndEmpty"] = json!(false);
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        life.extend([Stopping, Stopped, Starting, Running]);
        assert_eq!(stream.life(&task), life);
        assert_eq!(stream.life(&other), undisturbed);
        stream.happened(&[
            ("DmsPre", "UPDATE_COMPLETE"),
            ("TargetEndpoint", "UPDATE_COMPLETE"),
            ("DmsPost", "UPDATE_COMPLETE"),
            ("", "UPDATE_COMPLETE"),
        ]);
        assert!(stream.events("ReplicationTask").is_empty());

        let dms = stream.dms;
        for run in &dms.runs(&task)[1..] {
            assert_eq!(run.start_type, StartType::Resume);
        }
        assert!(!stream.is_marked(&task));

        // Both run when the stack goes.
        stream.delete().await;
        stream.happened(&[
            ("", "DELETE_IN_PROGRESS"),
            ("DmsPost", "DELETE_COMPLETE"),
            ("ReplicationTask", "DELETE_IN_PROGRESS"),
            ("ReplicationTask", "DELETE_COMPLETE"),
            ("DmsPre", "DELETE_COMPLETE"),
        ]);
        for (task, life) in [(&task, &mut life), (&other, &mut undisturbed)] {
            life.extend([Stopping, Stopped, Deleting]);
            assert_eq!(stream.life(task), *life);
            assert_eq!(dms.status(task), None);
        }
    });
}

#[test]
fn a_task_whose_endpoint_takes_an_arn_is_paused_only_if_that_becomes_another_one() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "arns");
        let arn = json!({ "Fn::GetAtt": ["Stream", "Arn"] });
        stream.property("TargetEndpoint", "KinesisSettings")["StreamArn"] = arn;
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let task = stream.task("ReplicationTask").await;
        let mut life = vec![Creating, Ready, Starting, Running];

        for (property, value, is_paused) in
            [("RetentionPeriodHours", json!(48), false), ("Name", json!("arns-stream"), true)]
        {
            *stream.property("Stream", property) = value;
            let change_set = stream.change_set().await;
            assert_eq!(change_set.changes["TargetEndpoint"]["Action"], "Modify", "{property}");
            assert_eq!(stream.execute(&change_set, Failure::RollsBack).await, "UPDATE_COMPLETE");
            if is_paused {
                life.extend([Stopping, Stopped, Starting, Running]);
            }
            assert_eq!(stream.life(&task), life, "{property}");
        }
        stream.delete().await;
    });
}

#[test]
fn a_task_that_an_operator_stopped_stays_stopped() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "operator");
        stream.add_task("Other");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let task = stream.task("ReplicationTask").await;
        let other = stream.task("Other").await;
        stream.dms.operator_stops(&other);
        stream.reaches(&other, Stopped).await;

        // Both read from it.
        *stream.property("SourceEndpoint", "ExtraConnectionAttributes") = json!("eventsPollInterval=5");
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        let mut life = vec![Creating, Ready, Starting, Running, Stopping, Stopped];
        assert_eq!(stream.life(&other), life);
        life.extend([Starting, Running]);
        assert_eq!(stream.life(&task), life);
        stream.said("DmsPost", "somebody else stopped it").await;
        for task in [&task, &other] {
            assert!(!stream.is_marked(task));
        }

        // Nor is it healed, or in the way of a deletion.
        stream.delete().await;
        assert_eq!(stream.life(&other)[4..], [Stopping, Stopped, Deleting].to_vec());
    });
}

#[test]
fn a_task_is_added_and_another_one_removed_while_the_third_runs_on() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "members");
        stream.add_task("Leaver");
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let task = stream.task("ReplicationTask").await;
        let leaver = stream.task("Leaver").await;

        stream.remove_task("Leaver");
        stream.add_task("Joiner");
        assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        let joiner = stream.task("Joiner").await;
        for name in ["Joiner", "ReplicationTask"] {
            assert_eq!(stream.listed(name).await, "CREATE_COMPLETE", "{name}");
        }
        stream.happened(&[
            ("DmsPre", "UPDATE_COMPLETE"),
            ("Joiner", "CREATE_COMPLETE"),
            ("DmsPost", "UPDATE_COMPLETE"),
            ("", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
            ("Leaver", "DELETE_COMPLETE"),
            ("", "UPDATE_COMPLETE"),
        ]);
        let life = vec![Creating, Ready, Starting, Running];
        assert_eq!(stream.life(&task), life);
        assert_eq!(stream.life(&joiner), life);
        let runs = stream.dms.runs(&joiner);
        assert_eq!(runs[0].start_type, StartType::Start);
        assert_eq!(runs[0].given, None);
        assert_eq!(stream.life(&leaver), [life, vec![Stopping, Stopped, Deleting]].concat());
        assert_eq!(stream.dms.status(&leaver), None);
        stream.delete().await;
    });
}

#[test]
fn an_endpoint_that_does_not_wait_for_dms_pre_changes_under_a_running_task_in_some_order() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "unwaited");
        stream.resource("TargetEndpoint").as_object_mut().unwrap().remove("DependsOn").unwrap();
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        // CloudFormation updates what doesn't wait for each other in any order, and so does the cloud here.
        let changed_under =
            |stream: &Stream<'_>| stream.dms.violations().iter().any(|it| it.contains("unwaited-"));
        for number in 0..20 {
            if changed_under(&stream) {
                break;
            }
            stream.property("TargetEndpoint", "KinesisSettings")["IncludeNullAndEmpty"] =
                json!(number % 2 == 0);
            assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
        }
        assert!(changed_under(&stream), "{:?}", stream.dms.violations());
    });
}

#[test]
fn the_database_of_a_name_is_captured_and_none_that_is_called_alike() {
    on_stage(async |stage| {
        let mut stream = Stream::new(stage, "alike");
        stream.give([("SchemaName", "my_app".to_owned())].into());
        assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
        let task = stream.task("ReplicationTask").await;
        let selection = Selection::new(&stream.dms.member(&task, "TableMappings"));
        assert!(selection.takes("my_app", "orders"));
        assert!(!selection.takes("my-app", "orders"));
        // DbInit's own table is left out, and no other.
        assert!(!selection.takes("my_app", "sluice_schema_history"));
        assert!(selection.takes("my_app", "sluice-schema-history"));
        stream.delete().await;
    });
}
