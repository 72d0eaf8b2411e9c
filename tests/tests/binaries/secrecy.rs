//! What no function says, however much it is asked to log: whatever opens a door.

use serde_json::{Value, json};
use stage::dms::TaskStatus;
use stage::mysql::{MysqlServer, Options};
use stage::secrets::Secret;

use super::{SECRET, SIGNATURE, Scene};

const PASSWORD: &str = "correct-horse-battery-staple";

/// Ends the process, and looks through all that it said.
async fn keeps_its_mouth_shut(scene: Scene, doors: &[&str]) {
    let asked = scene.callback.puts().len();
    let (log, answers) = scene.end().await;
    assert_eq!(log.matches("CloudFormation has the answer").count(), asked, "the log is not whole: {log}");
    // The keys of Lambda's environment, the callback's signature, and those of the calls to AWS.
    let every = [SIGNATURE, "not-a-key", "Signature=", "X-Amz-Date"];
    for door in every.iter().chain(doors) {
        assert!(!log.contains(door), "{door} is in the log: {log}");
        assert!(!answers.contains(door), "{door} is in an answer: {answers}");
    }
}

#[tokio::test]
async fn db_init_says_nothing_of_the_secret_whether_it_gets_in_or_not() {
    let scene = Scene::of("DbInit").await;
    let options = Options { password: PASSWORD.to_owned(), ..Options::default() };
    let server = MysqlServer::start(options).await.unwrap();
    scene.attach(&server);
    let migration =
        json!({ "Version": "1", "Name": "a", "Sql": "CREATE TABLE a (note TEXT DEFAULT ('in-the-sql'))" });
    let wanted = json!({
        "SecretArn": SECRET, "Database": "shop", "SslCa": server.ca_pem(), "Migrations": [migration],
    });
    scene.done("Create", wanted.clone()).await;
    scene.done("Update", wanted.clone()).await;

    // What fails is told, and not with which values.
    let failing = json!([migration, {
        "Version": "2", "Name": "b", "Sql": "INSERT INTO a SET note = CAST('in-the-sql' AS INT) + 'in-the-sql' VALUES",
    }]);
    let mut broken = wanted.clone();
    broken["Migrations"] = failing;
    scene.refused("Update", broken).await;

    let mut wrong = server.secret();
    wrong["password"] = json!("hunter2");
    for text in [
        wrong.to_string(),
        "hunter2".to_owned(),
        json!({ "username": "hunter2" }).to_string(),
        json!({ "username": "a", "password": "a", "port": "hunter2" }).to_string(),
    ] {
        scene.secrets.keep(SECRET, Secret::Text(text));
        scene.refused("Update", wanted.clone()).await;
    }
    scene.done("Delete", wanted).await;
    keeps_its_mouth_shut(scene, &[PASSWORD, "hunter2", "in-the-sql"]).await;
}

#[tokio::test]
async fn dms_pre_says_nothing_of_keys_and_signatures() {
    says_nothing("DmsPre", json!({ "DeploymentId": "7" })).await;
}

#[tokio::test]
async fn dms_post_says_nothing_of_keys_and_signatures() {
    says_nothing("DmsPost", json!({ "After": "r-1-0" })).await;
}

async fn says_nothing(resource: &'static str, properties: Value) {
    let scene = Scene::of(resource).await;
    let orders = scene.dms.add_task("orders", TaskStatus::Running);
    scene.stack.has("Orders", &orders);
    scene.done("Update", properties.clone()).await;
    scene.refused("Update", json!({ "Misspelt": "1" })).await;
    scene.stack.becomes("DELETE_IN_PROGRESS");
    scene.done("Delete", properties).await;
    keeps_its_mouth_shut(scene, &[]).await;
}

#[tokio::test]
async fn an_answer_that_does_not_get_through_is_reported_without_its_url() {
    let scene = Scene::of("DmsPre").await;
    scene.callback.answers([403]);
    let event = scene.event("Delete", &json!({ "DeploymentId": "7" }));
    // For the last words to try from another place.
    let told = scene.function.invoke(event).await.unwrap_err().to_string();
    let (log, _) = scene.end().await;
    for said in [&log, &told] {
        assert!(said.contains("answers with status 403"), "{said}");
        assert!(!said.contains(SIGNATURE) && !said.contains("X-Amz"), "{said}");
    }
}
