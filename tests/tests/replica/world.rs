//! A database, a stream, and a task between them.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::dms::{Arn, TaskStatus};
use stage::dms::{Dms, Pace, Refusal};
use stage::kinesis::Kinesis;
use stage::mysql::{MysqlServer, Options};
use stage::secrets::{Secret, SecretsManager};
use tokio::time::{sleep, timeout};

pub(crate) const STREAM: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/changes";
/// Far more than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:reader";

pub(crate) struct World {
    pub(crate) server: MysqlServer,
    pub(crate) kinesis: Kinesis,
    pub(crate) dms: Dms,
    pub(crate) task: Arn,
    conn: Conn,
    _secrets: SecretsManager,
}

/// How the task differs from one that follows all tables of `shop`, with images of before.
pub(crate) struct Wanted {
    pub(crate) migration_type: &'static str,
    pub(crate) rules: Value,
    pub(crate) settings: Value,
    pub(crate) kinesis: Value,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            migration_type: "cdc",
            rules: json!([rule(1, "include", "%")]),
            settings: json!({ "BeforeImageSettings":
                { "EnableBeforeImage": true, "FieldName": "before", "ColumnFilter": "all" } }),
            kinesis: json!({ "StreamArn": STREAM, "IncludeTransactionDetails": true, "IncludeNullAndEmpty": true }),
        }
    }
}

/// A selection rule for tables of `shop`.
pub(crate) fn rule(id: u8, action: &str, table: &str) -> Value {
    json!({ "rule-type": "selection", "rule-id": id, "rule-name": id, "rule-action": action,
        "object-locator": { "schema-name": "shop", "table-name": table } })
}

impl World {
    /// One in which these statements were said before the task was made, which is ready.
    pub(crate) async fn new(wanted: Wanted, statements: &[&str]) -> Self {
        let options = Options { database: Some("shop".to_owned()), ..Options::default() };
        let server = MysqlServer::start(options).await.unwrap();
        let mut conn = server.connect().await.unwrap();
        conn.query_drop("USE shop").await.unwrap();
        for statement in statements {
            conn.query_drop(*statement).await.unwrap();
        }
        let (kinesis, secrets) = tokio::try_join!(Kinesis::start(), SecretsManager::start()).unwrap();
        kinesis.add(STREAM);
        secrets.keep(SECRET, Secret::Text(server.secret().to_string()));
        let dms = Dms::new(Pace::immediate());
        dms.replicates(kinesis.endpoint(), secrets.endpoint());
        let task = make_task(&dms, &wanted);
        Self { server, kinesis, dms, task, conn, _secrets: secrets }
    }

    /// One whose task follows `shop.orders (id INT PRIMARY KEY, amount INT)`, and runs.
    pub(crate) async fn running() -> Self {
        let table = "CREATE TABLE orders (id INT PRIMARY KEY, amount INT)";
        let world = Self::new(Wanted::default(), &[table]).await;
        world.start().await;
        world
    }

    pub(crate) fn call(&self, operation: &str, more: &Value) -> Result<Value, Refusal> {
        let mut input = json!({ "ReplicationTaskArn": self.task.as_str() });
        for (name, value) in more.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        self.dms.call(operation, &input)
    }

    pub(crate) async fn start(&self) {
        self.begin("start-replication", &json!({}));
        self.reaches(TaskStatus::Running).await;
    }

    pub(crate) async fn resume(&self) {
        self.begin("resume-processing", &json!({}));
        self.reaches(TaskStatus::Running).await;
    }

    /// Begins a run, and waits for nothing.
    pub(crate) fn begin(&self, start_type: &str, more: &Value) {
        let mut input = more.clone();
        input["StartReplicationTaskType"] = json!(start_type);
        self.call("StartReplicationTask", &input).unwrap();
    }

    pub(crate) async fn stop(&self) {
        self.call("StopReplicationTask", &json!({})).unwrap();
        self.reaches(TaskStatus::Stopped).await;
    }

    pub(crate) async fn reaches(&self, status: TaskStatus) {
        let reached = async {
            while self.dms.status(&self.task).as_ref() != Some(&status) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = timeout(PATIENCE, reached).await;
        assert!(waited.is_ok(), "{:?}", self.described());
    }

    /// The task, as DMS describes it.
    pub(crate) fn described(&self) -> Value {
        let input =
            json!({ "Filters": [{ "Name": "replication-task-arn", "Values": [self.task.as_str()] }] });
        let mut answer = self.dms.call("DescribeReplicationTasks", &input).unwrap();
        answer["ReplicationTasks"][0].take()
    }

    pub(crate) async fn say(&mut self, statement: &str) {
        self.conn.query_drop(statement).await.unwrap();
    }

    /// After the database went, and came again.
    pub(crate) async fn reconnect(&mut self) {
        self.conn = self.server.connect().await.unwrap();
        self.say("USE shop").await;
    }

    /// The records of rows, once there are so many of them that are not the same.
    pub(crate) async fn rows(&self, count: usize) -> Vec<Value> {
        let arrived = async {
            while distinct(&self.written("data")).len() < count {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = timeout(PATIENCE, arrived).await;
        let rows = self.written("data");
        assert!(waited.is_ok(), "{count} were expected of {rows:#?}");
        rows
    }

    /// The records of this type.
    pub(crate) fn written(&self, record_type: &str) -> Vec<Value> {
        let records = self.kinesis.records(STREAM).into_iter();
        let records = records.map(|(_, record)| record);
        records.filter(|record| record["metadata"]["record-type"] == record_type).collect()
    }
}

/// The first ones of records, without those that are the same once more.
pub(crate) fn distinct(records: &[Value]) -> Vec<&Value> {
    let id = |record: &Value| {
        let of = |name: &str| record["metadata"][name].clone();
        (of("transaction-id"), of("transaction-record-id"), record["data"].clone())
    };
    let mut seen = Vec::new();
    let mut firsts = Vec::new();
    for record in records {
        if !seen.contains(&id(record)) {
            seen.push(id(record));
            firsts.push(record);
        }
    }
    firsts
}

/// What records tell: operation, table, the row before and after.
pub(crate) fn told(records: &[&Value]) -> Vec<Value> {
    let tell = |record: &&Value| {
        let of = |name: &str| record["metadata"][name].clone();
        json!([of("operation"), of("table-name"), record["before"], record["data"]])
    };
    records.iter().map(tell).collect()
}

/// Makes a task, connected and ready.
fn make_task(dms: &Dms, wanted: &Wanted) -> Arn {
    let instance = dms.add_instance("instance");
    let endpoint = |name: &str, side: &str, more: Value| {
        let mut input = json!({ "EndpointIdentifier": name, "EndpointType": side });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = dms.call("CreateEndpoint", &input).unwrap();
        let arn = Arn::new(answer["Endpoint"]["EndpointArn"].as_str().unwrap());
        dms.connect(&arn, &instance);
        arn
    };
    let source = json!({ "EngineName": "aurora", "MySQLSettings": { "SecretsManagerSecretId": SECRET } });
    let target = json!({ "EngineName": "kinesis", "KinesisSettings": wanted.kinesis });
    let input = json!({
        "ReplicationTaskIdentifier": "orders",
        "MigrationType": wanted.migration_type,
        "SourceEndpointArn": endpoint("source", "source", source).as_str(),
        "TargetEndpointArn": endpoint("target", "target", target).as_str(),
        "ReplicationInstanceArn": instance.as_str(),
        "TableMappings": json!({ "rules": wanted.rules }).to_string(),
        "ReplicationTaskSettings": wanted.settings.to_string(),
    });
    let answer = dms.call("CreateReplicationTask", &input).unwrap();
    Arn::new(answer["ReplicationTask"]["ReplicationTaskArn"].as_str().unwrap())
}
