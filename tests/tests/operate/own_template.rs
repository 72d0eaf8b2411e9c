//! The example of a template of one's own: somebody has the stack already, brings Sluice into it, and goes on.

use serde_json::{Value, json};
use stage::cloud::root;
use stage::dms::{Arn, Refusal, StartType, TaskStatus};

use crate::operator::{Operator, assert_says, assert_silent_about};

const EXAMPLE: &str = "examples/own-template.yaml";

/// The example as it was before Sluice.
async fn before_sluice(operator: &Operator) -> Value {
    let packaged = operator.cloud.package(EXAMPLE).await.unwrap();
    let mut template: Value = serde_json::from_str(&packaged).unwrap();
    let mut without = |section: &str, is_new: &dyn Fn(&str) -> bool| {
        let entries = template[section].as_object_mut().unwrap();
        let before = entries.len();
        entries.retain(|name, _| !is_new(name));
        before - entries.len()
    };
    assert_eq!(without("Resources", &|name| ["DmsPre", "DmsPost"].contains(&name)), 2);
    assert_eq!(without("Parameters", &|name| name == "DeploymentId"), 1);
    for resource in template["Resources"].as_object_mut().unwrap().values_mut() {
        let resource = resource.as_object_mut().unwrap();
        if let Some(waits_for) = resource.remove("DependsOn") {
            assert_eq!(waits_for, "DmsPre", "{resource:?}");
        }
    }
    template
}

/// Starts a task by hand, as somebody does who has no Sluice.
async fn start(operator: &Operator, task: &Arn) {
    let dms = &operator.cloud.dms;
    let described = dms.call("DescribeReplicationTasks", &json!({})).unwrap();
    let instance = &described["ReplicationTasks"][0]["ReplicationInstanceArn"];
    for end in ["SourceEndpointArn", "TargetEndpointArn"] {
        let endpoint = &described["ReplicationTasks"][0][end];
        let of = json!({ "ReplicationInstanceArn": instance, "EndpointArn": endpoint });
        dms.call("TestConnection", &of).unwrap();
    }
    let of = json!({ "ReplicationTaskArn": task.as_str(), "StartReplicationTaskType": "start-replication" });
    dms.call("StartReplicationTask", &of).unwrap();
    operator.runs(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_lives_takes_sluice_in_and_from_then_on_pauses_what_a_change_touches() {
    let operator = Operator::new().await;
    let dms = &operator.cloud.dms;
    let ca = operator.cloud.ca_file().unwrap();
    let ca = format!("SSL_CA={}", ca.display());
    let template = format!("TEMPLATE={}", root().join("cfn").join(EXAMPLE).display());
    operator.make(&["package-stream", &template]).await.done();
    operator.make(&["deploy-handlers"]).await.done();
    // It is asked for what this template takes, and not for Sluice's database.
    let said = operator.make(&["deploy-stream", &template]).await.failed();
    assert_says(&said, &["needs SubnetIds, SecurityGroupIds, SourceSecretArn: name them in PARAMETERS"]);
    for stack in ["database", "db-init"] {
        operator.make(&[&format!("deploy-{stack}"), &ca]).await.done();
    }
    let packaged = operator.folder.path().join("stream.yaml");
    // Sluice goes by types, whatever somebody calls its resources.
    let with_sluice = operator.cloud.package(EXAMPLE).await.unwrap();
    let with_sluice = with_sluice.replace("\"DmsPre\"", "\"Gate\"").replace("\"DmsPost\"", "\"Opens\"");
    assert!(with_sluice.contains("\"Gate\""));

    let mut before = before_sluice(&operator).await;
    before["Resources"]["Scratch"] =
        json!({ "Type": "AWS::S3::Bucket", "Properties": { "BucketName": "scratch" } });
    // What CloudFormation's validation finds is said, and of a change set that fails for it nothing is left.
    let stacks = operator.stacks().await;
    let mut mistaken = before.clone();
    mistaken["Resources"]["Stream"]["Properties"]["Retention"] = json!(48);
    std::fs::write(&packaged, mistaken.to_string()).unwrap();
    for command in ["plan", "deploy-stream"] {
        let said = operator.make(&[command, &template]).await.failed();
        let parts = [
            "the change set failed: The following hook(s)/validation failed",
            "fails   Stream ",
            "Unsupported property [Retention] (/Resources/Stream/Properties/Retention)",
        ];
        assert_says(&said, &parts);
        assert_eq!(operator.stacks().await, stacks);
    }
    std::fs::write(&packaged, before.to_string()).unwrap();
    operator.make(&["deploy-stream", &template]).await.done();
    operator.aws(&["s3", "cp", &packaged.to_string_lossy(), "s3://scratch/notes"]).await;
    let outputs = operator.cloud.outputs("sluice-stream").await.unwrap();
    let [orders, customers] = ["OrdersTaskArn", "CustomersTaskArn"].map(|name| Arn::new(&outputs[name]));
    start(&operator, &orders).await;
    assert_eq!(dms.status(&customers), Some(TaskStatus::Ready));

    // Nothing of DMS changes. What runs goes on, and what never ran is started.
    std::fs::write(&packaged, &with_sluice).unwrap();
    let said = operator.make(&["plan", &template]).await.done();
    assert_says(&said, &["add     Gate ", "the stack has no DmsPre yet that could be asked"]);
    assert_silent_about(&said, &["AWS::DMS::", "sluice-database", "sluice-db-init"]);
    assert_says(&said, &["warns   Scratch ", "The bucket 'scratch' is not empty (/Resources/Scratch)"]);
    operator.aws(&["s3", "rm", "s3://scratch/notes"]).await;
    let said = operator.make(&["deploy-stream", &template]).await.done();
    assert_silent_about(&said, &["validation"]);
    assert_says(&said, &["task CustomersTask       running", "task OrdersTask          running"]);
    assert_eq!(dms.runs(&orders).len(), 1);
    operator.runs(&customers).await;

    let changed = "PARAMETERS=OrdersTable=orders_%";
    let said = operator.make(&["plan", &template, changed, "EXPRESS=1"]).await.done();
    let parts = [
        "sluice-stream would be updated in express mode:",
        "(OrdersTask) is running: stop (since it changes (Modify of OrdersTask))",
        "(CustomersTask) is running: leave: the deployment does not touch it",
    ];
    assert_says(&said, &parts);
    let refusal = Refusal::new("AccessDeniedFault", "no dms:StopReplicationTask");
    dms.fail_next("StopReplicationTask", refusal);
    let said = operator.make(&["deploy-stream", &template, changed]).await.failed();
    assert_says(&said, &["first failure: Gate: ", "a task that was paused for it is being resumed"]);
    operator.runs(&orders).await;
    let said = operator.make(&["deploy-stream", &template, changed, "EXPRESS=1"]).await.done();
    assert_says(&said, &["making a change set in express mode", "task OrdersTask          running"]);
    operator.runs(&orders).await;
    let runs = dms.runs(&orders);
    let types: Vec<_> = runs.iter().map(|run| run.start_type).collect();
    assert_eq!(types, [StartType::Start, StartType::Resume]);
    assert_eq!(dms.runs(&customers).len(), 1);

    // In express mode nothing is replaced. What fails stays, heals, and is mended in the same mode.
    let edited = |property: &str, value: &str| {
        let mut edited: Value = serde_json::from_str(&with_sluice).unwrap();
        edited["Resources"]["OrdersTask"]["Properties"][property] = json!(value);
        std::fs::write(&packaged, edited.to_string()).unwrap();
    };
    edited("ResourceIdentifier", "another");
    for command in ["plan", "deploy-stream"] {
        let said = operator.make(&[command, &template, "EXPRESS=1"]).await.failed();
        assert_says(&said, &["This would replace OrdersTask: deploy it without EXPRESS"]);
    }
    edited("TableMappings", r#"{"rules": []}"#);
    let said = operator.make(&["deploy-stream", &template, "EXPRESS=1"]).await.failed();
    assert_says(
        &said,
        &[
            "sluice-stream: UPDATE_FAILED after",
            "first failure: OrdersTask: Error in mapping",
            "a task that was paused for it is being resumed",
        ],
    );
    operator.runs(&orders).await;
    std::fs::write(&packaged, &with_sluice).unwrap();
    let said = operator.make(&["deploy-stream", &template]).await.failed();
    assert_says(&said, &["is UPDATE_FAILED after a deployment in express mode", "EXPRESS=1"]);
    let said = operator.make(&["deploy-stream", &template, "EXPRESS=1"]).await.done();
    assert_says(&said, &["sluice-stream: UPDATE_COMPLETE", "task OrdersTask          running"]);

    operator.make(&["destroy", "YES=1"]).await.done();
    assert!(operator.stacks().await.is_empty());
    assert!(dms.violations().is_empty(), "{:?}", dms.violations());
}
