//! `make deploy`, `plan`, `status` and `destroy`, in the local cloud: what they do, what they say, and how they end.

#[path = "operate/by_hand.rs"]
mod by_hand;
#[path = "operate/operator.rs"]
mod operator;
#[path = "operate/own_database.rs"]
mod own_database;
#[path = "operate/own_template.rs"]
mod own_template;
#[path = "operate/small.rs"]
mod small;
#[path = "operate/states.rs"]
mod states;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stage::cloud::root;
use stage::cloud::stacks::{members, text};
use stage::dms::Arn;
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
        (&["PARAMETERS=LogLevel"][..], &["'LogLevel'", "Name=Value"][..]),
        (&["PARAMETERS=LogLevel='debug"], &["No closing quotation"]),
        (&["PARAMETERS=LogLevle=debug"], &["no template has a parameter LogLevle; is it LogLevel?"]),
        (&[no_json.as_str()], &["is not JSON"]),
        (&["PARAMETERS_FILE=nowhere.json"], &["nowhere.json"]),
        (&["EXPRESS=yes"], &["EXPRESS is 'yes': 1 or nothing"]),
        (
            &[],
            &[
                "sluice-stream needs VpcId, SubnetIds, SecurityGroupIds, SourceSecretArn",
                "deploy sluice-database and sluice-db-init first (make deploy), or name them in PARAMETERS",
            ],
        ),
        (
            &["PARAMETERS=VpcId=vpc-1 SubnetIds=subnet-1"],
            &["needs SecurityGroupIds, SourceSecretArn: deploy"],
        ),
        (
            &["PARAMETERS=SubnetIds=subnet-1 SourceSecretArn=arn"],
            &["needs VpcId, SecurityGroupIds: name them"],
        ),
    ] {
        let arguments = [&["deploy-stream"], arguments].concat();
        let said = operator.make(&arguments).await.failed();
        assert_says(&said, parts);
        assert_silent_about(&said, &["Traceback"]);
    }
    let null = operator.parameters(&json!({ "LogLevel": null }));
    let said = operator.make(&["deploy-stream", &null]).await.failed();
    assert_says(&said, &["LogLevel is null"]);

    // Where it would go is looked at before anything is built.
    for (arguments, parts) in [
        (["BUCKET=", ""], ["Name the bucket", "BUCKET=my-artifacts"]),
        (["BUCKET=nobodys", ""], ["Bucket nobodys is not there", "aws s3 mb"]),
        (["", "AWS_REGION=us-east-1"], ["sluice-artifacts is in eu-west-1", "us-east-1"]),
        (
            // The machine may be one of Amazon's, and have some of its own.
            ["AWS_EC2_METADATA_DISABLED=true", "AWS_ACCESS_KEY_ID="],
            ["No credentials", "AWS_PROFILE"],
        ),
        (["", "AWS_DEFAULT_REGION="], ["No region", "AWS_REGION"]),
    ] {
        let arguments = [&["account"], &arguments[..]].concat();
        let said = operator.make(&arguments).await.failed();
        assert_says(&said, &parts);
        assert_silent_about(&said, &["Traceback"]);
    }

    for command in ["deploy-handlers", "deploy-database", "deploy-db-init", "destroy"] {
        let said = operator.make(&[command, "EXPRESS=1"]).await.failed();
        assert_says(&said, &[&format!("EXPRESS=1: not for make {command}, since")]);
    }

    // And so is what it is told.
    let misnamed = operator.migration("1__orders.sql", "SELECT 1");
    for (argument, part) in [
        ("TEMPLATE=nowhere.yaml", "nowhere.yaml"),
        ("PARAMETERS=HandlerStackName=x", "is it HandlersStackName?"),
        ("MIGRATIONS=nowhere", "MIGRATIONS: there is no folder nowhere"),
        ("MIGRATIONS=cfn/operate", "MIGRATIONS: cfn/operate holds no .sql file"),
        (misnamed.as_str(), "1__orders.sql in "),
    ] {
        let said = operator.make(&["account", argument]).await.failed();
        assert_says(&said, &[part]);
        assert_silent_about(&said, &["Traceback"]);
    }
    // What is wrong with a template of one's own is said, and is no error: it may be on its way to Sluice.
    let template = std::fs::read_to_string(root().join("cfn/examples/own-template.yaml")).unwrap();
    let path = operator.folder.path().join("mine.yaml");
    std::fs::write(
        &path,
        template.replace("DependsOn: [OrdersTask, CustomersTask]", "DependsOn: OrdersTask"),
    )
    .unwrap();
    let said = operator.make(&["account", &format!("TEMPLATE={}", path.display())]).await.done();
    assert_says(&said, &["error: CustomersTask (AWS::DMS::ReplicationTask) may be left stopped"]);
    operator.make(&["package-examples"]).await.done();
    let said = operator.make(&["deploy-examples"]).await.failed();
    assert_says(&said, &["sluice-examples needs StreamArn", "sluice-stream first"]);
    let said = operator.make(&["status"]).await.done();
    assert_says(&said, &["account 000000000000, eu-west-1, at http://127"]);
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
        "sluice would be created:",
        "add     DmsPreFunction",
        "sluice-database would be created:",
        "add     DatabaseCluster",
        "sluice-db-init would be deployed after sluice, sluice-database",
        "sluice-stream would be deployed after sluice, sluice-database, sluice-db-init",
    ];
    assert_says(&said, &parts);
    assert!(operator.stacks().await.is_empty());

    // Values arrive as they are typed: make would take `$eu` for a variable of its own, and drop it.
    let tags = "TAGS=team=data 'cost center=7$eu #1'";
    let said = operator.make(&["deploy", &ca, "DATABASE_NAME=blog", tags]).await;
    let said = said.done();
    let parts = [
        "sluice: CREATE_COMPLETE after",
        "sluice-database: CREATE_COMPLETE after",
        "DbInit                             CREATE_IN_PROGRESS",
        "sluice-db-init: CREATE_COMPLETE after",
        "DmsPost                            CREATE_COMPLETE",
        "sluice-stream: CREATE_COMPLETE after",
        "StartedTasks             1",
        "task ReplicationTask     running",
    ];
    assert_says(&said, &parts);
    let outputs = operator.cloud.outputs("sluice-stream").await.unwrap();
    let task = Arn::new(&outputs["ReplicationTaskArn"]);
    operator.runs(&task).await;

    let stack =
        operator.cloud.cloudformation.ask("DescribeStacks", &[("StackName", "sluice-stream")]).await.unwrap();
    let tags = members(&stack["Stacks"][0]["Tags"]).map(|it| (text(&it["Key"]), text(&it["Value"])));
    let wanted =
        [("cost center", "7$eu #1"), ("team", "data")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(tags.collect::<BTreeMap<_, _>>(), wanted.into());

    // Neither the name of the database nor its authority is said again: they stay. DbInit looks again, at each deployment.
    for unchanged in ["handlers", "database"] {
        let said = operator.make(&[&format!("deploy-{unchanged}")]).await.done();
        assert_says(&said, &[": nothing to change"]);
    }
    let said = operator.make(&["deploy-db-init"]).await.done();
    assert_says(
        &said,
        &["DbInit                             UPDATE_COMPLETE", "SchemaName               blog"],
    );

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
    let parts =
        ["in place: TableMappings", "is running: stop (since it changes (Modify of ReplicationTask))"];
    assert_says(&said, &parts);
    let planned = said.lines().find(|it| it.contains("is running: stop"));
    let planned = planned.unwrap().trim().to_owned();
    assert_eq!(operator.cloud.dms.runs(&task).len(), runs);
    // What a replacement would load again, or lose, is said before it is made.
    let loads = ["plan", "PARAMETERS=MigrationType=full-load-and-cdc BeforeImages=false"];
    let said = operator.make(&loads).await.done();
    assert_says(&said, &["replaced: MigrationType", "; the task that replaces it loads everything again"]);
    let elsewhere =
        "SourceEngineName=docdb SourceDatabaseName=shop BeforeImages=false TaskResourceIdentifier=new";
    let said = operator.make(&["plan", &format!("PARAMETERS={elsewhere}")]).await.failed();
    assert_says(&said, &["DmsPre would refuse this deployment:", "for a source of docdb"]);
    let asked = [("StackName", "sluice-stream")];
    let sets = operator.cloud.cloudformation.ask("ListChangeSets", &asked).await.unwrap();
    let sets: Vec<_> = members(&sets["Summaries"]).collect();
    assert!(!sets.is_empty());
    assert!(sets.iter().all(|it| text(&it["ExecutionStatus"]) != "AVAILABLE"));

    // A mapping with a quote, a space and what could be make's or a shell's.
    let typed = stage::play::mappings("$ARCHIVE_% $(shell echo no) #1");
    let said = operator.make(&["deploy-stream", &format!("PARAMETERS=TableMappings='{typed}'")]).await.done();
    assert_says(&said, &["task ReplicationTask     running"]);
    let stack = operator.cloud.cloudformation.ask("DescribeStacks", &asked).await.unwrap();
    let mut parameters = members(&stack["Stacks"][0]["Parameters"]);
    assert!(parameters.any(|it| text(&it["ParameterValue"]) == typed), "{stack}");

    // The reason is the one of what failed first, without CloudFormation's frame around it.
    let refusal = Refusal::new("AccessDeniedFault", "no dms:StopReplicationTask");
    operator.cloud.dms.fail_next("StopReplicationTask", refusal);
    let said = operator.make(&["deploy-stream", &changed]).await.failed();
    let parts = [
        "sluice-stream: UPDATE_ROLLBACK_COMPLETE after",
        "first failure: DmsPre: ",
        "no dms:StopReplicationTask",
        "a task that was paused for it is being resumed: make status",
        "Error 1",
    ];
    assert_says(&said, &parts);
    assert_silent_about(&said, &["first failure: DmsPre: Received response"]);
    operator.runs(&task).await;

    operator.is_behind(&task, "CDCLatencySource", 2).await;
    operator.is_behind(&task, "CDCLatencyTarget", 7).await;
    operator.rings("sluice", "HealingAlarm", "it could not heal").await;
    let said = operator.make(&["status"]).await.done();
    let parts = [
        "sluice: CREATE_COMPLETE since",
        "used by: sluice-db-init, sluice-stream",
        "sluice-database: CREATE_COMPLETE since",
        "sluice-stream: UPDATE_ROLLBACK_COMPLETE since",
        "last operation: update, rolled back: began",
        "first failure: DmsPre: ",
        "(ReplicationTask): running, CDCLatencySource 2 s, CDCLatencyTarget 7 s",
        "log of DmsPost: ",
        "ALARM sluice-HealingAlarm",
        "it could not heal",
        "sluice-archive: there is no such stack",
    ];
    assert_says(&said, &parts);

    operator.make(&["deploy-stream", &changed]).await.done();
    operator.runs(&task).await;
    let runs = operator.cloud.dms.runs(&task);
    assert_eq!(runs.last().unwrap().start_type, StartType::Resume);
    // What was planned is what DmsPre did, word for word.
    operator.has_said("sluice-dms-pre", &format!("task {planned}")).await;
    // What was said once, in a file, stays.
    let said = operator.make(&["plan"]).await.done();
    assert_silent_about(&said, &["TableMappings", "RetentionPeriodHours"]);

    operator.cloud.dms.operator_stops(&task);
    let said = operator.make(&["status"]).await.done();
    assert_says(&said, &["(ReplicationTask): stopped, Stop Reason NORMAL"]);
    let marks = json!([{ "Key": "sluice:paused-by", "Value": "me" }, { "Key": "sluice:paused-by:r-1" }]);
    let marks = json!({ "ResourceArn": task.as_str(), "Tags": marks });
    operator.cloud.dms.call("AddTagsToResource", &marks).unwrap();
    let said = operator.make(&["status"]).await.done();
    assert_says(&said, &["NORMAL, paused by me and r-1, to be resumed"]);

    // A stack that isn't there uses no database, and its handlers are others', too.
    let said = operator.make(&["destroy", "STACK=mine", "YES=1"]).await.done();
    assert_says(&said, &["sluice stays: sluice-db-init, sluice-stream use it"]);
    assert_eq!(operator.stacks().await.len(), 4);

    let said = operator.make_and_type(&["destroy"], "sluice-streem\n").await;
    let said = said.failed();
    let parts = [
        "GOES, with the data in it: Stream (AWS::Kinesis::Stream",
        "stays: DmsVpcRole (AWS::IAM::Role, dms-vpc-role)",
        "stays: DatabaseCluster (AWS::RDS::DBCluster",
        "a last snapshot",
        "Nothing was deleted",
    ];
    assert_says(&said, &parts);
    assert_eq!(operator.stacks().await.len(), 4);

    // Somebody has protected the cluster, behind the template's back, and the stack.
    let cluster = operator.cloud.resource("sluice-database", "DatabaseCluster").await.unwrap();
    let cluster = text(&cluster["PhysicalResourceId"]);
    let protects = |is: &str| format!("--{is}deletion-protection");
    let of = format!("--db-cluster-identifier={cluster}");
    operator.aws(&["rds", "modify-db-cluster", &of, &protects("")]).await;
    let delete = operator.cloud.cloudformation.ask("DeleteStack", &[("StackName", "sluice")]).await;
    assert!(delete.is_err(), "the local cloud deletes what others use");
    let said = operator.make(&["destroy", "YES=1"]).await.failed();
    let help =
        format!("aws rds modify-db-cluster --db-cluster-identifier {cluster} --no-deletion-protection");
    assert_says(
        &said,
        &["Nothing was deleted", "sluice-database: DatabaseCluster (AWS::RDS::DBCluster, ", &help],
    );
    assert_eq!(operator.stacks().await.len(), 4);
    operator.aws(&["rds", "modify-db-cluster", &of, &protects("no-")]).await;

    // The handlers stay as long as somebody uses them.
    let stream = ["destroy", "DB_INIT_STACK=none"];
    let said = operator.make_and_type(&stream, "sluice-stream\n").await.done();
    assert_says(&said, &["sluice stays: sluice-db-init uses it", "sluice-stream: DELETE_COMPLETE"]);
    // The roles that stayed are not in the way of a new stack.
    let said = operator.make(&["plan"]).await.done();
    let parts = [
        "the account has dms-vpc-role already: CreateDmsVpcRole=false",
        "the account has dms-cloudwatch-logs-role already: CreateDmsLogsRole=false",
        "sluice-stream would be created:",
        "there are none to pause",
    ];
    assert_says(&said, &parts);
    let said = operator.make(&["destroy", "YES=1"]).await.done();
    assert_says(
        &said,
        &["sluice-db-init: DELETE_COMPLETE", "sluice-database: DELETE_COMPLETE", "sluice: DELETE_COMPLETE"],
    );
    assert!(operator.stacks().await.is_empty());
    assert!(!root().join("cfn/operate/__pycache__").exists());
    assert!(operator.cloud.dms.violations().is_empty());
}
