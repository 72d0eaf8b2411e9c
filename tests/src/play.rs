//! A stack's whole life, act by act, in the local cloud, with the templates and the binaries that ship. The demo shows it;
//! the lifecycle test demands it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use mysql_async::prelude::Queryable;
use replication::task::{Arn, TaskStatus};
use replication::tasks::PAUSE_MARK;
use tokio::time::Instant;

use crate::cloud::Cloud;
use crate::cloud::stacks::{Sight, Watch};
use crate::dms::StartType;

const DATABASE: &str = "sluice-database";
const STREAM: &str = "sluice-stream";

/// What somebody who watches is told.
#[derive(Debug)]
pub enum Line {
    /// An act begins.
    Act(usize, &'static str),
    /// Something happened in the cloud.
    Sight(Sight),
    /// Something that the play itself did or saw.
    Note(String),
}

/// An act that is over.
#[derive(Clone, Debug)]
pub struct Act {
    /// What it was about.
    pub title: &'static str,
    /// The status in which the stack ended.
    pub ended: String,
    /// How long the operation took.
    pub took: Duration,
    /// How often and for how long the task rested in it.
    pub rests: Vec<Duration>,
    /// The task's status at its end; none before it exists and after it is gone.
    pub task: Option<TaskStatus>,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rests: Vec<String> = self
            .rests
            .iter()
            .map(|rest| format!("{:.1} s", rest.as_secs_f64()))
            .collect();
        let rested = if rests.is_empty() {
            "not paused".to_owned()
        } else {
            format!("paused {}", rests.join(", "))
        };
        let task = match &self.task {
            Some(status) => format!("{rested}, now {status}"),
            None => "none".to_owned(),
        };
        write!(
            f,
            "{:<46} {:<26} {:>5.1} s   {task}",
            self.title,
            self.ended,
            self.took.as_secs_f64()
        )
    }
}

/// Performs the play. What happens goes to `tell`, as it happens.
///
/// # Errors
/// If anything comes out differently than Sluice promises; it says what, and in which act.
pub async fn perform(tell: &mut dyn FnMut(Line)) -> anyhow::Result<Vec<Act>> {
    let mut play = Play::new(Cloud::start().await?).await?;
    let mut acts = Vec::new();
    for (number, (title, scene)) in SCENES.iter().enumerate() {
        tell(Line::Act(number + 1, title));
        let began = Instant::now();
        let seen = play.statuses().len();
        let ended = match scene {
            Scene::Database => play.database(tell).await,
            Scene::Stream => play.stream(tell).await,
            Scene::Rows => play.rows(tell).await,
            Scene::Mappings => play.mappings(tell).await,
            Scene::Retention => play.retention(tell).await,
            Scene::Failure => play.failure(tell).await,
            Scene::Deletion => play.deletion(tell).await,
        }
        .with_context(|| format!("act {}, {title}", number + 1))?;
        let rests = rests(&play.statuses()[seen..]);
        let task = play
            .task
            .as_ref()
            .and_then(|task| play.cloud.dms.status(task));
        acts.push(Act {
            title,
            ended,
            took: began.elapsed(),
            rests,
            task,
        });
        scene.check(acts.last().context("the act just played")?)?;
    }
    let violations = play.cloud.dms.violations();
    ensure!(
        violations.is_empty(),
        "something was done to DMS that must not be: {violations:?}"
    );
    Ok(acts)
}

#[derive(Clone, Copy)]
enum Scene {
    Database,
    Stream,
    Rows,
    Mappings,
    Retention,
    Failure,
    Deletion,
}

const SCENES: [(&str, Scene); 7] = [
    ("create the database stack", Scene::Database),
    ("create the stream stack", Scene::Stream),
    ("insert rows", Scene::Rows),
    ("update: change the table mappings", Scene::Mappings),
    ("update: change nothing of DMS", Scene::Retention),
    (
        "update: a DMS change that fails, rolled back",
        Scene::Failure,
    ),
    ("delete both stacks", Scene::Deletion),
];

impl Scene {
    /// What Sluice promises of the act: how often the task pauses, and how it ends.
    fn check(self, act: &Act) -> anyhow::Result<()> {
        let (ended, pauses, task) = match self {
            Self::Database => ("CREATE_COMPLETE", 0, None),
            Self::Stream => ("CREATE_COMPLETE", 0, Some(TaskStatus::Running)),
            Self::Rows => ("-", 0, Some(TaskStatus::Running)),
            Self::Mappings => ("UPDATE_COMPLETE", 1, Some(TaskStatus::Running)),
            Self::Retention => ("UPDATE_COMPLETE", 0, Some(TaskStatus::Running)),
            Self::Failure => ("UPDATE_ROLLBACK_COMPLETE", 1, Some(TaskStatus::Running)),
            Self::Deletion => ("DELETE_COMPLETE", 0, None),
        };
        ensure!(
            act.ended == ended,
            "{}: the stack ended in {}, not in {ended}",
            act.title,
            act.ended
        );
        ensure!(
            act.task == task,
            "{}: the task is {:?}, not {task:?}",
            act.title,
            act.task
        );
        ensure!(
            act.rests.len() == pauses,
            "{}: the task paused {} times, not {pauses}",
            act.title,
            act.rests.len()
        );
        Ok(())
    }
}

/// The stretches between the moment a task stopped and the moment it ran again.
fn rests(statuses: &[(Duration, TaskStatus)]) -> Vec<Duration> {
    let mut rests = Vec::new();
    let mut stopped = None;
    for (at, status) in statuses {
        match status {
            TaskStatus::Stopping => stopped = Some(*at),
            TaskStatus::Running => rests.extend(stopped.take().map(|since| *at - since)),
            _ => {}
        }
    }
    rests
}

struct Play {
    cloud: Cloud,
    watch: Watch,
    database: String,
    stream: String,
    parameters: BTreeMap<&'static str, String>,
    deployments: u32,
    task: Option<Arn>,
}

impl Play {
    async fn new(cloud: Cloud) -> anyhow::Result<Self> {
        let (database, stream) =
            tokio::try_join!(cloud.package("database.yaml"), cloud.package("stream.yaml"))?;
        let (parameters, watch) = (BTreeMap::new(), Watch::default());
        Ok(Self {
            cloud,
            watch,
            database,
            stream,
            parameters,
            deployments: 0,
            task: None,
        })
    }

    fn statuses(&self) -> Vec<(Duration, TaskStatus)> {
        self.task
            .as_ref()
            .map(|task| self.cloud.dms.statuses(task))
            .unwrap_or_default()
    }

    async fn database(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let parameters = BTreeMap::from([
            ("DatabaseName", "blog".to_owned()),
            // The database here has a certificate of the local cloud's own authority, and is verified like any other.
            ("SslCa", self.cloud.rds.ca_pem().to_owned()),
            ("Architecture", architecture()),
        ]);
        let mut show = |sight| tell(Line::Sight(sight));
        let ended = self
            .cloud
            .deploy(
                DATABASE,
                &self.database,
                &parameters,
                &mut self.watch,
                &mut show,
            )
            .await?;
        ensure!(ended == "CREATE_COMPLETE", "the stack ended in {ended}");
        let outputs = self.cloud.outputs(DATABASE).await?;
        for (name, expected) in [
            ("BinlogFormat", "ROW"),
            ("BinlogRetentionHours", "24"),
            ("SchemaVersion", "1"),
        ] {
            let got = outputs.get(name).map(String::as_str);
            ensure!(
                got == Some(expected),
                "output {name} is {got:?}, not {expected:?}"
            );
        }
        let of = |name: &str| {
            outputs
                .get(name)
                .cloned()
                .with_context(|| format!("the stack has no output {name}"))
        };
        self.parameters = BTreeMap::from([
            ("VpcId", of("VpcId")?),
            ("SubnetIds", of("PrivateSubnetIds")?),
            ("SecurityGroupIds", of("StreamSecurityGroupId")?),
            ("SourceSecretArn", of("SecretArn")?),
            ("SchemaName", of("DatabaseName")?),
            ("Architecture", architecture()),
            ("CreateDmsVpcRole", "true".to_owned()),
        ]);
        let [version, position] = [of("ServerVersion")?, of("BinlogPosition")?];
        tell(Line::Note(format!(
            "the database ({version}) is ready for CDC; its binlog is at {position}"
        )));
        Ok(ended)
    }

    /// Deploys the stream stack with these parameters changed, as `make deploy-stream` does.
    async fn deploy(
        &mut self,
        changed: &[(&'static str, &str)],
        tell: &mut dyn FnMut(Line),
    ) -> anyhow::Result<String> {
        self.deployments += 1;
        let mut parameters = self.parameters.clone();
        parameters.insert("DeploymentId", self.deployments.to_string());
        parameters.extend(
            changed
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let mut show = |sight| tell(Line::Sight(sight));
        let ended = self
            .cloud
            .deploy(
                STREAM,
                &self.stream,
                &parameters,
                &mut self.watch,
                &mut show,
            )
            .await?;
        if ended.ends_with("_COMPLETE") && !ended.contains("ROLLBACK") {
            self.parameters = parameters;
        }
        Ok(ended)
    }

    async fn stream(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let ended = self.deploy(&[], tell).await?;
        ensure!(ended == "CREATE_COMPLETE", "the stack ended in {ended}");
        let outputs = self.cloud.outputs(STREAM).await?;
        self.task = outputs.get("ReplicationTaskArn").map(Arn::new);
        ensure!(
            self.task.is_some(),
            "the stack has no output ReplicationTaskArn"
        );
        Ok(ended)
    }

    async fn rows(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let clusters = self.cloud.rds.identifiers().await;
        let cluster = clusters
            .first()
            .context("the database stack has no cluster")?;
        let opts = self
            .cloud
            .rds
            .cluster(cluster)
            .await
            .context("the cluster is gone")?;
        let mut connection = mysql_async::Conn::new(opts).await?;
        let rows = ["hello 1", "hello 2", "hello 3"].map(|text| (text,));
        connection
            .exec_batch("INSERT INTO blog.examples (example) VALUES (?)", rows)
            .await?;
        let count: Option<u64> = connection
            .query_first("SELECT COUNT(*) FROM blog.examples")
            .await?;
        connection.disconnect().await?;
        ensure!(count == Some(3), "the table holds {count:?} rows, not 3");
        tell(Line::Note(
            "3 rows inserted into blog.examples, the table that the migration made".to_owned(),
        ));
        Ok("-".to_owned())
    }

    async fn mappings(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let mappings = mappings("examples");
        let ended = self.deploy(&[("TableMappings", &mappings)], tell).await?;
        self.resumed().await?;
        Ok(ended)
    }

    async fn retention(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        self.deploy(&[("StreamRetentionHours", "48")], tell).await
    }

    async fn failure(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        // DMS wants at least one rule. CloudFormation doesn't know.
        let ended = self
            .deploy(&[("TableMappings", r#"{"rules": []}"#)], tell)
            .await?;
        tell(Line::Note(format!(
            "the stack is {ended}; its task is to run again without anybody's help"
        )));
        self.resumed_within(Duration::from_secs(60), tell).await?;
        Ok(ended)
    }

    async fn deletion(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let mut ended = String::new();
        for stack in [STREAM, DATABASE] {
            let mut show = |sight| tell(Line::Sight(sight));
            ended = self.cloud.delete(stack, &mut self.watch, &mut show).await?;
            ensure!(ended == "DELETE_COMPLETE", "stack {stack} ended in {ended}");
        }
        Ok(ended)
    }

    /// The task was resumed, not started anew, and carries no mark any more.
    async fn resumed(&self) -> anyhow::Result<()> {
        let task = self.task.as_ref().context("there is no task")?;
        let runs = self.cloud.dms.runs(task);
        let last = runs.last().context("the task has never run")?;
        ensure!(
            last.start_type == StartType::Resume,
            "the task was not resumed but started: {last:?}"
        );
        ensure!(
            !self.cloud.dms.tags(task).contains_key(PAUSE_MARK),
            "the task still carries the pause mark"
        );
        Ok(())
    }

    /// As [`Self::resumed`], after the stack's operation is over.
    async fn resumed_within(
        &mut self,
        time: Duration,
        tell: &mut dyn FnMut(Line),
    ) -> anyhow::Result<()> {
        let task = self.task.clone().context("there is no task")?;
        let until = Instant::now() + time;
        loop {
            let mut show = |sight| tell(Line::Sight(sight));
            self.cloud.look(STREAM, &mut self.watch, &mut show).await?;
            let runs = self.cloud.dms.status(&task) == Some(TaskStatus::Running);
            if runs && self.resumed().await.is_ok() {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "the task does not run {} s after the rollback",
                time.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn mappings(table: &str) -> String {
    let rule = serde_json::json!({
        "rule-type": "selection", "rule-id": "1", "rule-name": "1", "rule-action": "include",
        "object-locator": { "schema-name": "blog", "table-name": table },
    });
    serde_json::json!({ "rules": [rule] }).to_string()
}

/// The functions run on this machine, so this is what they were built for.
fn architecture() -> String {
    let name = if std::env::consts::ARCH == "aarch64" {
        "arm64"
    } else {
        "x86_64"
    };
    name.to_owned()
}
