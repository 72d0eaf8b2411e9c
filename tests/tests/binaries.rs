//! The functions as they ship: each real binary over loopback, with a stand-in for whatever it talks to.

#[path = "binaries/calls.rs"]
mod calls;
#[path = "binaries/db_init.rs"]
mod db_init;
#[path = "binaries/dms_post.rs"]
mod dms_post;
#[path = "binaries/dms_pre.rs"]
mod dms_pre;
#[path = "binaries/lost_calls.rs"]
mod lost_calls;
#[path = "binaries/refusals.rs"]
mod refusals;
#[path = "binaries/scale.rs"]
mod scale;
#[path = "binaries/secrecy.rs"]
mod secrecy;
#[path = "binaries/sizes.rs"]
mod sizes;

use std::time::Duration;

use serde_json::{Value, json};
use stage::aws::{self, Aws};
use stage::callback::{Callback, SIGNATURE};
use stage::dms::{Dms, Pace};
use stage::http::Server;
use stage::lambda::Function;
use stage::mysql::MysqlServer;
use stage::request;
use stage::secrets::{Secret, SecretsManager};
use stage::stack::Stack;

/// What the tests grant unless time is what they are about.
const A_MINUTE: Duration = Duration::from_secs(60);

/// The resources and their functions, with properties that are all right.
fn all() -> [(&'static str, Value); 3] {
    [
        ("DbInit", json!({ "SecretArn": SECRET, "Database": "shop" })),
        ("DmsPre", json!({ "DeploymentId": "7" })),
        ("DmsPost", json!({ "After": "r-1-0" })),
    ]
}

/// The secret that DbInit's requests name.
const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:database-Ab1";

/// A function with everything that it talks to.
struct Scene {
    resource: &'static str,
    function: Function,
    callback: Callback,
    stack: Stack,
    dms: Dms,
    secrets: SecretsManager,
    _aws: Server,
}

impl Scene {
    /// The function of a custom resource, in a stack that is being updated and has no tasks yet.
    async fn of(resource: &'static str) -> Self {
        Self::at(Pace::immediate(), resource).await
    }

    /// The same, with a DMS that takes its time.
    async fn at(pace: Pace, resource: &'static str) -> Self {
        Self::logging("trace", pace, resource).await
    }

    /// The same, with this much in its log.
    async fn logging(level: &str, pace: Pace, resource: &'static str) -> Self {
        let (stack, dms) = (Stack::new("UPDATE_IN_PROGRESS"), Dms::new(pace));
        let aws = aws::serve(Aws::new(&dms, &stack)).await.unwrap();
        let secrets = SecretsManager::start().await.unwrap();
        let environment = [
            ("AWS_ENDPOINT_URL", aws.endpoint()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.endpoint()),
            ("RUST_LOG", level),
        ];
        let function = Function::start(binary(resource), &environment);
        Self {
            resource,
            function: function.await.unwrap(),
            callback: Callback::start().await.unwrap(),
            stack,
            dms,
            secrets,
            _aws: aws,
        }
    }

    fn event(&self, kind: &str, properties: &Value) -> Value {
        request::event(kind, self.resource, self.callback.url(), properties)
    }

    /// Hands over a request. The one answer to it, after a look at how it came.
    async fn answer_within(&self, event: Value, time: Duration) -> Value {
        let before = self.callback.puts().len();
        self.function.invoke_within(event.clone(), time).await.unwrap();
        let puts = self.callback.puts();
        assert_eq!(puts.len(), before + 1, "answers to one request");
        let put = puts.last().unwrap();
        put.read(&event).unwrap();
        assert_eq!(put.path_and_query, self.callback.path_and_query());
        put.json()
    }

    async fn answer(&self, kind: &str, properties: Value) -> Value {
        self.answer_within(self.event(kind, &properties), A_MINUTE).await
    }

    /// Asks for something that is to succeed; the attributes.
    async fn done(&self, kind: &str, properties: Value) -> Value {
        let answer = self.answer(kind, properties).await;
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        answer["Data"].clone()
    }

    /// Asks for something that is to fail; the reason.
    async fn refused(&self, kind: &str, properties: Value) -> String {
        reason(&self.answer(kind, properties).await)
    }

    /// Hands over an event that nobody is to answer.
    async fn notice(&self, event: Value) -> Result<Value, Value> {
        let before = self.callback.puts().len();
        let verdict = self.function.invoke(event).await;
        assert_eq!(self.callback.puts().len(), before, "answers to an event");
        verdict
    }

    /// Keeps the secret of a database's master user.
    fn attach(&self, database: &MysqlServer) {
        let text = database.secret().to_string();
        self.secrets.keep(SECRET, Secret::Text(text));
    }

    /// Ends the process. All that it said: its log, and then its answers.
    async fn end(self) -> (String, String) {
        let puts = self.callback.puts();
        let answers = puts.iter().map(|put| String::from_utf8(put.body.to_vec()).unwrap());
        (self.function.end().await, answers.collect())
    }
}

/// The reason of an answer that says FAILED, and where the log is.
fn reason(answer: &Value) -> String {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    assert_eq!(answer.get("Data"), None);
    let reason = answer["Reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("(log group /aws/lambda/"), "{reason}");
    reason
}

fn binary(resource: &str) -> &'static str {
    match resource {
        "DbInit" => "db-init",
        "DmsPre" => "dms-pre",
        "DmsPost" => "dms-post",
        other => panic!("nobody serves {other}"),
    }
}
