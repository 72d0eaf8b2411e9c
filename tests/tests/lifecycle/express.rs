//! Express mode: CloudFormation waits for nothing but calls and custom resources, and rolls nothing back unless it is told
//! to. Rows are written all the while.

use std::time::Duration;

use serde_json::json;
use stage::cloud::Cloud;
use stage::cloud::stacks::Failure::{RollsBack, Stays};
use stage::cloud::stacks::Mode;
use stage::cloud::stream::database;
use stage::dms::{Pace, StartType};
use stage::play::mappings;
use stage::replica::binlog::Position;
use stage::traffic::count::count;
use stage::traffic::subscriber::Subscriber;
use stage::traffic::writer::Writer;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::shared::{Stage, pace};
use crate::stream::{REFUSED, Stream};

#[test]
fn in_express_mode_nothing_is_lost_and_the_next_deployment_mends_what_one_left_failed() {
    Runtime::new().unwrap().block_on(life());
}

async fn life() {
    let server = database().await.unwrap();
    // So long that DmsPost's function is there before the end.
    let (create, modify) = (Duration::from_secs(2), Duration::from_secs(4));
    let cloud = Cloud::start_at(Pace { create, modify, ..pace() }).await.unwrap();
    cloud.replicates();
    let parameters = cloud.stream_parameters(&server).await.unwrap();
    let template = cloud.package("stream.yaml").await.unwrap();
    let stage = Stage { cloud, template: serde_json::from_str(&template).unwrap(), parameters };
    let mut stream = Stream::new(&stage, "express");
    stream.goes(Mode::Express(Stays));

    assert_eq!(stream.deploy().await, "CREATE_COMPLETE");
    stream.said("DmsPost", "is creating: wait: it is in transit").await;
    let task = stream.task("ReplicationTask").await;
    let from: Position = stream.dms.runs(&task)[0].from.as_ref().unwrap().parse().unwrap();
    let mut writer = Writer::start(server.opts(), Duration::from_millis(60), 7);
    let kinesis = &stage.cloud.outputs("express").await.unwrap()["StreamArn"];
    let subscriber = Subscriber::of_stream(stage.cloud.endpoint(), kinesis);

    // The instance and the task.
    *stream.property("ReplicationInstance", "AllocatedStorage") = json!(60);
    *stream.property("ReplicationTask", "TableMappings") = json!(mappings("examples"));
    assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
    stream.said("DmsPost", "is modifying: wait: it is in transit").await;
    // The instance alone: what rests can't start before it is back.
    *stream.property("ReplicationInstance", "AllocatedStorage") = json!(70);
    assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
    stream.said("DmsPost", "is not available, its status is modifying").await;

    // What can't be undone is not replaced.
    *stream.property("ReplicationTask", "ResourceIdentifier") = json!("express-next");
    assert_eq!(stream.deploy().await, "UPDATE_FAILED");
    let why = stream.reason("ReplicationTask", "UPDATE_FAILED");
    assert_eq!(why, "Replacement type updates not supported on stack with disable-rollback.");
    stream.healed("UPDATE_FAILED", &[&task]).await;
    // From there on it goes in the same mode, and only forward.
    let standard = stage.cloud.change_set("express", "{}", &[].into()).await;
    let rolled_back = stage.cloud.cloudformation.ask("RollbackStack", &[("StackName", "express")]).await;
    for refusal in [format!("{:#}", standard.unwrap_err()), rolled_back.unwrap_err().to_string()] {
        assert!(refusal.contains("EXPRESS deployment mode"), "{refusal}");
    }
    let properties = stream.resource("ReplicationTask")["Properties"].as_object_mut();
    properties.unwrap().remove("ResourceIdentifier").unwrap();
    // Healing, too, comes before the instance is back.
    *stream.property("ReplicationInstance", "AllocatedStorage") = json!(75);
    *stream.property("ReplicationTask", "TableMappings") = json!(REFUSED);
    assert_eq!(stream.deploy().await, "UPDATE_FAILED");
    stream.said("DmsPost", "is not available, its status is modifying").await;
    stream.healed("UPDATE_FAILED", &[&task]).await;
    *stream.property("ReplicationTask", "TableMappings") = json!(mappings("exam%"));
    assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
    assert_eq!(stream.task("ReplicationTask").await, task);
    assert!(stream.dms.runs(&task)[1..].iter().all(|run| run.start_type == StartType::Resume));

    // With a rollback it is replaced. The old task goes while nobody looks on.
    stream.goes(Mode::Express(RollsBack));
    *stream.property("ReplicationTask", "ResourceIdentifier") = json!("express-next");
    assert_eq!(stream.deploy().await, "UPDATE_COMPLETE");
    stream.said("DmsPost", "is creating: wait: it is in transit").await;
    let next = stream.task("ReplicationTask").await;
    assert_ne!(next, task);
    assert!(stream.dms.runs(&next)[0].given.is_some());
    // And what fails is undone.
    *stream.property("ReplicationInstance", "AllocatedStorage") = json!(80);
    *stream.property("ReplicationTask", "TableMappings") = json!(REFUSED);
    assert_eq!(stream.deploy().await, "UPDATE_ROLLBACK_COMPLETE");
    stream.healed("UPDATE_ROLLBACK_COMPLETE", &[&next]).await;

    let journal = writer.stop().await.unwrap();
    let counted = count(&server.opts(), &from, &journal, &subscriber, Duration::from_secs(60)).await.unwrap();
    assert!(counted.is_right() && counted.logged > 100, "{counted:?}");
    stream.delete().await;
    let is_gone = async {
        while [&task, &next].iter().any(|task| stream.dms.status(task).is_some()) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), is_gone).await.unwrap();
}
