//! `make deploy`, `plan`, `status` and `destroy`, in the local cloud: what they do, what they say, and how they end.

#[path = "operate/operator.rs"]
mod operator;

use replication::task::Arn;
use serde_json::{Value, json};
use stage::cloud::root;
use stage::dms::{Refusal, StartType};
use stage::play::mappings;

use crate::operator::{Operator, assert_says, assert_silent_about};

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named_before_anything_is_made() {
    let operator = Operator::new().await;
    let no_json = operator.folder.path().join("no.json");
    std::fs::write(&no_json, "VpcId=vpc-1").unwrap();
    let no_json = format!("PARAMETERS_FILE={}", no_json.display());
    for (arguments, parts) in [
        (
            &["PARAMETERS=LogLevel"][..],
            &["'LogLevel'", "Name=Value"][..],
        ),
        (&["PARAMETERS=LogLevel='debug"], &["No closing quotation"]),
        (
            &["PARAMETERS=LogLevle=debug"],
            &["no template has a parameter LogLevle"],
        ),
        (&[no_json.as_str()], &["is not JSON"]),
        (&["PARAMETERS_FILE=nowhere.json"], &["nowhere.json"]),
        (
            &[],
            &["sluice-stream needs a database", "VpcId", "SourceSecretArn"],
        ),
        (
            &["PARAMETERS=VpcId=vpc-1"],
            &["CreateChangeSet", "SubnetIds"],
        ),
    ] {
        let arguments = [&["deploy-stream"], arguments].concat();
        let said = operator.make(&arguments).await.failed();
        assert_says(&said, parts);
        assert_silent_about(&said, &["Traceback"]);
    }
    let said = operator.make(&["package", "BUCKET="]).await.failed();
    assert_says(&said, &["Name the bucket"]);
    operator.make(&["package-examples"]).await.done();
    let said = operator.make(&["deploy-examples"]).await.failed();
    assert_says(&said, &["sluice-examples needs a stream"]);
    let said = operator.make(&["status"]).await.done();
    assert_says(&said, &["sluice-stream: there is no such stack"]);
    let said = operator.make(&["destroy"]).await.done();
    assert_says(&said, &["There is no stack"]);
    assert!(operator.stacks().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_are_planned_deployed_shown_and_destroyed() {
    let operator = Operator::new().await;
    let ca = operator.cloud.ca_file().unwrap();
    let ca = format!("SSL_CA={}", ca.display());

    // The first plan leaves nothing behind, not even the name of a stack.
    let said = operator.make(&["plan", &ca]).await.done();
    let parts = [
        "sluice-database would be created:",
        "add     DatabaseCluster",
        "sluice-stream would be created after it",
    ];
    assert_says(&said, &parts);
    assert!(operator.stacks().await.is_empty());

    let said = operator.make(&["deploy", &ca, "DATABASE_NAME=blog"]).await;
    let said = said.done();
    let parts = [
        "DbInit                             CREATE_IN_PROGRESS",
        "sluice-database: CREATE_COMPLETE after",
        "DmsPost                            CREATE_COMPLETE",
        "sluice-stream: CREATE_COMPLETE after",
        "StartedTasks             1",
    ];
    assert_says(&said, &parts);
    let outputs = operator.cloud.outputs("sluice-stream").await.unwrap();
    let task = Arn::new(&outputs["ReplicationTaskArn"]);
    operator.runs(&task).await;

    // Neither the name of the database nor its authority is said again: they stay.
    let said = operator.make(&["deploy-database"]).await.done();
    assert_says(&said, &["sluice-database: nothing to change"]);

    let runs = operator.cloud.dms.runs(&task).len();
    let untouched = ["plan", "PARAMETERS=StreamRetentionHours=48"];
    let said = operator.make(&untouched).await.done();
    let parts = [
        "sluice-database: nothing to change",
        "sluice-stream would be updated:",
        "in place: RetentionPeriodHours",
        "its function is called",
        "(ReplicationTask) is running: leave: the deployment does not touch it",
    ];
    assert_says(&said, &parts);
    let mappings: Value = serde_json::from_str(&mappings("examples")).unwrap();
    let changed = json!({ "TableMappings": mappings, "StreamRetentionHours": 48 });
    let changed = operator.parameters(&changed);
    let said = operator.make(&["plan", &changed]).await.done();
    let parts = [
        "in place: TableMappings",
        "is running: stop (since it changes (Modify of ReplicationTask))",
    ];
    assert_says(&said, &parts);
    assert_eq!(operator.cloud.dms.runs(&task).len(), runs);
    let sets = operator.cloud.client.list_change_sets();
    let sets = sets.stack_name("sluice-stream").send().await.unwrap();
    let planned = sets.summaries().iter();
    let planned = planned.filter(|it| it.execution_status().unwrap().as_str() == "AVAILABLE");
    assert_eq!(planned.count(), 0);

    // The reason is the one of what failed first, without CloudFormation's frame around it.
    let refusal = Refusal::new("AccessDeniedFault", "no dms:StopReplicationTask");
    operator.cloud.dms.fail_next("StopReplicationTask", refusal);
    let said = operator.make(&["deploy-stream", &changed]).await.failed();
    let parts = [
        "sluice-stream: UPDATE_ROLLBACK_COMPLETE after",
        "first failure: DmsPre: ",
        "no dms:StopReplicationTask",
        "Error 1",
    ];
    assert_says(&said, &parts);
    assert_silent_about(&said, &["first failure: DmsPre: Received response"]);
    operator.runs(&task).await;

    operator.is_behind(&task, "CDCLatencySource", 2).await;
    operator.is_behind(&task, "CDCLatencyTarget", 7).await;
    operator.rings("HealingAlarm", "it could not heal").await;
    let said = operator.make(&["status"]).await.done();
    let parts = [
        "sluice-database: CREATE_COMPLETE since",
        "sluice-stream: UPDATE_ROLLBACK_COMPLETE since",
        "first failure: DmsPre: ",
        "(ReplicationTask): running, CDCLatencySource 2 s, CDCLatencyTarget 7 s",
        "log of DmsPost: ",
        "ALARM sluice-stream-HealingAlarm",
        "it could not heal",
        "sluice-archive: there is no such stack",
    ];
    assert_says(&said, &parts);

    operator.make(&["deploy-stream", &changed]).await.done();
    operator.runs(&task).await;
    let runs = operator.cloud.dms.runs(&task);
    assert_eq!(runs.last().unwrap().start_type, StartType::Resume);
    // What was said once, in a file, stays.
    let said = operator.make(&["plan"]).await.done();
    assert_silent_about(&said, &["TableMappings", "RetentionPeriodHours"]);

    operator.cloud.dms.operator_stops(&task);
    let said = operator.make(&["status"]).await.done();
    assert_says(&said, &["(ReplicationTask): stopped, Stop Reason NORMAL"]);

    let said = operator
        .make_and_type(&["destroy"], "sluice-streem\n")
        .await;
    let said = said.failed();
    let parts = [
        "GOES, with the data in it: Stream (AWS::Kinesis::Stream",
        "stays: DmsVpcRole (AWS::IAM::Role, dms-vpc-role)",
        "stays: DatabaseCluster (AWS::RDS::DBCluster",
        "a last snapshot",
        "Nothing was deleted",
    ];
    assert_says(&said, &parts);
    assert_eq!(operator.stacks().await.len(), 2);

    let names = "sluice-stream\nsluice-database\n";
    let said = operator.make_and_type(&["destroy"], names).await.done();
    let parts = [
        "sluice-stream: DELETE_COMPLETE",
        "sluice-database: DELETE_COMPLETE",
    ];
    assert_says(&said, &parts);
    assert!(operator.stacks().await.is_empty());
    assert!(!root().join("cfn/operate/__pycache__").exists());
    assert!(operator.cloud.dms.violations().is_empty());
}
