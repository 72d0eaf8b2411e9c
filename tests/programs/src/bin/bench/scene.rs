//! A function with everything it talks to: at once, over TLS, on this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use stage::aws::{self, Aws};
use stage::callback::Callback;
use stage::dms::{Arn, TaskStatus};
use stage::dms::{Dms, Pace};
use stage::http::Server;
use stage::lambda::Function;
use stage::mysql::certificates::Authority;
use stage::mysql::{MysqlServer, Options};
use stage::secrets::{Secret, SecretsManager};
use stage::stack::ResourceChange;
use stage::stack::{self, Stack};
use stage::tls::TlsFront;
use stage::{lambda, request};
use tempfile::TempDir;
use tokio::process::Command;

const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:database-Ab1";
const USER_SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:user-Ab1";

/// What surrounds a function.
pub(crate) struct Scene {
    pub(crate) dms: Dms,
    pub(crate) stack: Stack,
    pub(crate) tasks: Vec<Arn>,
    callback: Callback,
    database: Option<MysqlServer>,
    secrets: SecretsManager,
    fronts: [TlsFront; 3],
    folder: TempDir,
    _aws: Server,
}

impl Scene {
    /// A stack whose update changes these many tasks, all of them in this status, at a DMS of this pace.
    pub(crate) async fn new(
        pace: Pace,
        count: usize,
        status: TaskStatus,
        is_touched: bool,
    ) -> anyhow::Result<Self> {
        let (stack, dms) = (Stack::new("UPDATE_IN_PROGRESS"), Dms::new(pace));
        let mut tasks = Vec::new();
        let mut changes = Vec::new();
        for number in 0..count {
            let task = dms.add_task(&format!("t{number}"), status.clone());
            let name = format!("Task{number:03}");
            stack.has(&name, &task);
            changes.push(changed(&name, &task));
            tasks.push(task);
        }
        stack.changes(if is_touched { changes } else { Vec::new() });
        let secrets = SecretsManager::start().await?;
        let aws = aws::serve(Aws::new(&dms, &stack)).await?;
        let callback = Callback::start().await?;
        let authority = Authority::new();
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("ca.pem"), authority.pem())?;
        let fronts = [
            TlsFront::start(&authority, aws.endpoint()).await?,
            TlsFront::start(&authority, secrets.endpoint()).await?,
            TlsFront::start(&authority, callback.endpoint()).await?,
        ];
        Ok(Self { dms, stack, tasks, callback, database: None, secrets, fronts, folder, _aws: aws })
    }

    /// With a database server, and the secrets of its two users.
    pub(crate) async fn with_database(mut self) -> anyhow::Result<Self> {
        let database = MysqlServer::start(Options::default()).await?;
        let user = json!({ "username": "dms", "password": "for DMS" });
        for (arn, secret) in [(SECRET, database.secret()), (USER_SECRET, user)] {
            self.secrets.keep(arn, Secret::Text(secret.to_string()));
        }
        self.database = Some(database);
        Ok(self)
    }

    /// Puts the pause mark on all tasks.
    pub(crate) fn mark(&self) {
        for task in &self.tasks {
            self.dms.mark(task, "r-1");
        }
    }

    /// Starts a function here.
    pub(crate) async fn start(&self, name: &str) -> anyhow::Result<Function> {
        let ca = self.folder.path().join("ca.pem");
        let [aws, secrets, _] = &self.fronts;
        let environment = [
            ("AWS_ENDPOINT_URL", aws.endpoint()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.endpoint()),
            ("SSL_CERT_FILE", path(&ca)),
        ];
        let mut program = Command::new(lambda::bootstrap(name)?);
        Ok(Function::run(name, &mut program, &environment).await?)
    }

    /// How often each operation of AWS was called.
    pub(crate) fn calls(&self) -> BTreeMap<String, usize> {
        let services = [self.stack.calls(), self.dms.all_calls(), self.secrets.calls()];
        services.into_iter().flatten().collect()
    }

    /// The properties of a database with so many migrations.
    pub(crate) fn database(&self, migrations: usize) -> Value {
        let migrations: Vec<_> = (1..=migrations)
            .map(|number| {
                let sql = format!("CREATE TABLE orders{number} (id INT PRIMARY KEY)");
                json!({ "Version": number, "Name": "orders", "Sql": sql })
            })
            .collect();
        json!({
            "SecretArn": SECRET,
            "ReplicationUserSecretArn": USER_SECRET,
            "Database": "shop",
            "SslCa": self.database.as_ref().map_or("", MysqlServer::ca_pem),
            "Migrations": migrations,
        })
    }

    /// A request of this kind to the function of this name, with the properties that the bench uses.
    pub(crate) fn event(&self, kind: &str, name: &str) -> Value {
        let (resource, properties) = match name {
            "dms-pre" => ("DmsPre", json!({ "DeploymentId": "7" })),
            "dms-post" => ("DmsPost", json!({ "After": "r-1-0" })),
            "db-init" => ("DbInit", self.database(1)),
            _ => ("Echo", json!({})),
        };
        self.request(kind, resource, &properties)
    }

    /// A request about a resource with these properties.
    pub(crate) fn request(&self, kind: &str, resource: &str, properties: &Value) -> Value {
        let [.., answers] = &self.fronts;
        let url = format!("{}{}", answers.endpoint(), self.callback.path_and_query());
        request::event(kind, resource, &url, properties)
    }

    /// Hands a request over, which is to succeed; what was answered.
    pub(crate) async fn succeed(
        &self,
        function: &Function,
        event: Value,
        time: Duration,
    ) -> anyhow::Result<Value> {
        let before = self.callback.puts().len();
        let verdict = function.invoke_within(event, time).await;
        anyhow::ensure!(verdict.is_ok(), "the function failed: {verdict:?}\n{}", function.log());
        let answer = self.callback.puts().get(before).map(|put| put.json());
        if let Some(answer) = &answer {
            anyhow::ensure!(answer["Status"] == "SUCCESS", "{answer}\n{}", function.log());
        }
        Ok(answer.unwrap_or_default())
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn changed(logical_id: &str, task: &Arn) -> ResourceChange {
    stack::modified(logical_id, "AWS::DMS::ReplicationTask", task)
}
