//! A database of one's own: it is made ready, and no other is made beside it.

use serde_json::{Value, json};

use crate::operator::{Operator, assert_says, assert_silent_about};

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_database_of_ones_own_no_other_is_made() {
    let operator = Operator::new().await;
    let ca = operator.cloud.ca_file().unwrap();
    let ca = format!("SSL_CA={}", ca.display());
    // Somebody has it, under a name that Sluice doesn't know.
    operator.make(&["deploy-database", "DATABASE_STACK=theirs"]).await.done();
    let theirs = operator.cloud.outputs("theirs").await.unwrap();
    let given = ["VpcId", "SubnetIds", "SecurityGroupIds", "Host", "Port", "MasterSecretArn"];
    let given = given.map(|name| (name.to_owned(), json!(theirs[name])));
    let given = operator.parameters(&Value::Object(given.into_iter().collect()));

    let said = operator.make(&["plan", &given]).await.done();
    assert_says(
        &said,
        &["sluice would be created:", "sluice-stream would be deployed after sluice, sluice-db-init"],
    );
    assert_silent_about(&said, &["sluice-database", "AWS::RDS::"]);
    // A database that can't be made ready stops it there; db-init's stack stays as it is, and the next deployment goes on.
    const NOT_ADMIN: &str = "its user is the master user; DMS needs a user of its own";
    let master = "PARAMETERS=ReplicationUsername=admin";
    let said = operator.make(&["deploy", &given, &ca, master]).await.failed();
    let parts = ["sluice-db-init: CREATE_FAILED after", NOT_ADMIN, "correct what is wrong, and deploy again"];
    assert_says(&said, &parts);
    let said = operator.make(&["deploy", &given, &ca, "PARAMETERS=ReplicationUsername=dms"]).await.done();
    assert_says(&said, &["sluice-db-init: UPDATE_COMPLETE after", "task ReplicationTask     running"]);
    let said = operator.make(&["deploy-db-init", master]).await.failed();
    assert_says(&said, &["sluice-db-init: UPDATE_FAILED after", NOT_ADMIN, "deploy again"]);
    operator.make(&["deploy-db-init", "PARAMETERS=ReplicationUsername=dms"]).await.done();
    let found = operator.stacks().await;
    let stacks =
        ["sluice CREATE_COMPLETE", "sluice-db-init UPDATE_COMPLETE", "sluice-stream CREATE_COMPLETE"];
    assert_eq!(found, [&stacks[..], &["theirs CREATE_COMPLETE"]].concat());

    // What was said once stays, and another database that comes later is not theirs.
    operator.make(&["deploy-database"]).await.done();
    let said = operator.make(&["deploy"]).await.done();
    assert_silent_about(&said, &["sluice-database"]);
    let stream = operator.cloud.outputs("sluice-stream").await.unwrap();
    assert_eq!(stream["SecurityGroupIds"], theirs["SecurityGroupIds"]);
    operator.make(&["destroy", "YES=1"]).await.done();
    let found = operator.stacks().await;
    assert_eq!(found, ["sluice-database CREATE_COMPLETE", "theirs CREATE_COMPLETE"]);
}
