//! A database of one's own: it is made ready, gets its schema from files, and no other is made beside it.

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
    let before = operator.stacks().await;
    let said = operator.make(&["deploy", &given, "MIGRATIONS=nowhere"]).await.failed();
    assert_says(&said, &["MIGRATIONS: there is no folder nowhere"]);
    assert_eq!(operator.stacks().await, before);
    // A database that can't be made ready stops it there; db-init's stack stays as it is, and the next deployment goes on.
    const NOT_ADMIN: &str = "its user is the master user; DMS needs a user of its own";
    const VERSION_1: &str = "SchemaVersion            1";
    const VERSION_2: &str = "SchemaVersion            2";
    let master = "PARAMETERS=ReplicationUsername=admin";
    let said = operator.make(&["deploy", &given, &ca, master]).await.failed();
    let parts = ["sluice-db-init: CREATE_FAILED after", NOT_ADMIN, "correct what is wrong, and deploy again"];
    assert_says(&said, &parts);
    let files = operator.migration("V1__create_posts.sql", "CREATE TABLE posts (id INT PRIMARY KEY);\n");
    let dms = "PARAMETERS=ReplicationUsername=dms";
    let said = operator.make(&["deploy", &given, &ca, dms, &files]).await.done();
    let parts = ["sluice-db-init: UPDATE_COMPLETE after", VERSION_1, "task ReplicationTask     running"];
    assert_says(&said, &parts);
    let said = operator.make(&["deploy-db-init", master]).await.failed();
    assert_says(&said, &["sluice-db-init: UPDATE_FAILED after", NOT_ADMIN, "deploy again"]);
    // It goes on with what came to the files. Their line ends don't matter, nor what else is in the folder.
    operator.migration("V1__create_posts.sql", "CREATE TABLE posts (id INT PRIMARY KEY);\r\n");
    operator.migration("V2__add_title.sql", "ALTER TABLE posts ADD title TEXT;\n");
    operator.migration("README.md", "The schema.");
    let said = operator.make(&["deploy-db-init", dms, &files]).await.done();
    assert_says(&said, &["db-init is packaged with 2 migrations from ", VERSION_2]);
    // Only the files that are named are packaged.
    let said = operator.make(&["deploy-db-init", "MIGRATIONS="]).await.done();
    assert_says(&said, &[VERSION_2]);
    assert!(!operator.folder.path().join("checkout/target/lambda/db-init/migrations").exists());
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
