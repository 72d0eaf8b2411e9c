//! What is done in each scene, and what is looked at after it.

use std::time::Duration;

use crate::dms::{Arn, TaskStatus};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Line;
use super::rows::Traffic;
use crate::cloud::Cloud;
use crate::cloud::operate::Said;
use crate::cloud::stacks::Watch;
use crate::dms::{Event, StartType};
use crate::traffic::count::Count;
use crate::traffic::writer::TABLE;

const HANDLERS: &str = "sluice";
const DATABASE: &str = "sluice-database";
const DB_INIT: &str = "sluice-db-init";
const STREAM: &str = "sluice-stream";
const EXAMPLES: &str = "sluice-examples";

/// What the scenes share: the cloud, and how far the stacks have come.
pub struct Play {
    /// Where the stacks are.
    pub cloud: Cloud,
    watch: Watch,
    /// The stream's task, once there is one.
    pub task: Option<Arn>,
    /// Who writes rows and who sees them, once they do.
    pub(super) traffic: Option<Traffic>,
    pub(super) counted: Option<Count>,
}

impl Play {
    /// A play that has not begun.
    ///
    /// # Errors
    /// If the templates can't be packaged: a function isn't built (`make build`).
    pub async fn new(cloud: Cloud) -> anyhow::Result<Self> {
        tokio::try_join!(
            cloud.package("handlers.yaml"),
            cloud.package("database.yaml"),
            cloud.package("db-init.yaml"),
            cloud.package("stream.yaml"),
            cloud.package("examples.yaml"),
        )?;
        Ok(Self { cloud, watch: Watch::default(), task: None, traffic: None, counted: None })
    }

    /// What became of the stream's tasks so far: when, since DMS was there, and the status.
    pub(super) fn statuses(&self) -> Vec<(Duration, TaskStatus)> {
        let entries = self.cloud.dms.history().into_iter();
        let statuses = entries.filter_map(|entry| match entry.event {
            Event::Status { status, .. } => Some((entry.at, status?)),
            _ => None,
        });
        statuses.collect()
    }

    /// Creates the stacks that the stream needs, and the stream's.
    ///
    /// # Errors
    /// If one can't be deployed.
    pub async fn stream_and_all_before_it(&mut self) -> anyhow::Result<()> {
        let tell = &mut |_| {};
        self.handlers(tell).await?;
        self.database(tell).await?;
        self.db_init(tell).await?;
        self.stream(tell).await?;
        Ok(())
    }

    /// Creates the stack of the handlers. The status in which it ended.
    ///
    /// # Errors
    /// If it can't be deployed.
    pub async fn handlers(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        self.create("deploy-handlers", &json!({}), HANDLERS, tell).await
    }

    /// Creates the database's stack. The status in which it ended.
    ///
    /// # Errors
    /// If it can't be deployed.
    pub async fn database(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        self.create("deploy-database", &json!({}), DATABASE, tell).await
    }

    /// Makes the database ready. The status in which the stack of db-init ended.
    ///
    /// # Errors
    /// If the database is not ready for CDC.
    pub async fn db_init(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        self.cloud.edit_packaged("db-init.yaml", |template| {
            let table = "CREATE TABLE examples (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, example VARCHAR(255) NOT NULL)";
            let migration = json!({ "Version": 1, "Name": "create_examples", "Sql": table });
            template["Resources"]["DbInit"]["Properties"]["Migrations"] = json!([migration]);
        })?;
        let parameters = json!({
            "DatabaseName": "blog",
            // The database here has a certificate of the local cloud's own authority, and is verified like any other.
            "SslCa": self.cloud.rds.ca_pem(),
        });
        let ended = self.create("deploy-db-init", &parameters, DB_INIT, tell).await?;
        let outputs = self.cloud.outputs(DB_INIT).await?;
        for (name, expected) in
            [("BinlogFormat", "ROW"), ("BinlogRetentionHours", "24"), ("SchemaVersion", "1")]
        {
            let got = outputs.get(name).map(String::as_str);
            ensure!(got == Some(expected), "output {name} is {got:?}, not {expected:?}");
        }
        let of = |name: &str| outputs.get(name).with_context(|| format!("the stack has no output {name}"));
        let [version, position] = [of("ServerVersion")?, of("BinlogPosition")?];
        tell(Line::Note(format!("the database ({version}) is ready for CDC; its binlog is at {position}")));
        Ok(ended)
    }

    async fn create(
        &mut self,
        command: &str,
        parameters: &Value,
        stack: &str,
        tell: &mut dyn FnMut(Line),
    ) -> anyhow::Result<String> {
        let said = self.operate(command, parameters, &[stack], tell).await?;
        ensure!(said.well, "{}", said.lines.join("\n"));
        self.cloud.status(stack).await
    }

    /// Deploys the stream stack with these parameters changed, as `make deploy-stream` does. The status in which it ended.
    ///
    /// # Errors
    /// If it can't be deployed at all.
    pub async fn deploy(&mut self, changed: &Value, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let said = self.operate("deploy-stream", changed, &[STREAM], tell).await?;
        let ended = self.cloud.status(STREAM).await?;
        ensure!(
            said.well != ended.contains("ROLLBACK"),
            "the stack is {ended}, and make deploy-stream said:\n{}",
            said.lines.join("\n")
        );
        if !said.well {
            let why = said.lines.iter().skip_while(|line| !line.starts_with(STREAM));
            // The first of these lines says that it begins.
            let why = why.skip(1).skip_while(|line| !line.starts_with(STREAM));
            why.for_each(|line| tell(Line::Said("deploy-stream", line.clone())));
        }
        Ok(ended)
    }

    /// Tells what a deployment with these parameters would do to the tasks.
    async fn plan(&mut self, changed: &Value, tell: &mut dyn FnMut(Line)) -> anyhow::Result<()> {
        let said = self.operate("plan", changed, &[], tell).await?;
        ensure!(said.well, "{}", said.lines.join("\n"));
        let lines = said.lines.iter();
        let lines = lines.skip_while(|line| !line.starts_with(STREAM));
        lines.for_each(|line| tell(Line::Said("plan", line.clone())));
        Ok(())
    }

    async fn operate(
        &mut self,
        command: &str,
        parameters: &Value,
        stacks: &[&str],
        tell: &mut dyn FnMut(Line),
    ) -> anyhow::Result<Said> {
        let mut show = |sight| tell(Line::Sight(sight));
        self.cloud.operate(command, parameters, stacks, &mut self.watch, &mut show).await
    }

    /// Creates the stream's stack. The status in which it ended.
    ///
    /// # Errors
    /// If it ended in another one than it should.
    pub async fn stream(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let ended = self.deploy(&json!({}), tell).await?;
        ensure!(ended == "CREATE_COMPLETE", "the stack ended in {ended}");
        self.task = Some(self.present_task().await?);
        Ok(ended)
    }

    async fn present_task(&self) -> anyhow::Result<Arn> {
        let outputs = self.cloud.outputs(STREAM).await?;
        let task = outputs.get("ReplicationTaskArn");
        Ok(Arn::new(task.context("the stack has no output ReplicationTaskArn")?))
    }

    /// Creates the examples' stack: a consumer of the writer's table, and a function that writes rows.
    pub(super) async fn examples(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let parameters = json!({ "TableName": TABLE.1, "SslCa": self.cloud.rds.ca_pem() });
        self.create("deploy-examples", &parameters, EXAMPLES, tell).await
    }

    /// Lets the examples' row writer write so many rows. What it answers.
    pub(super) async fn invoke_row_writer(&self, rows: u32) -> anyhow::Result<Value> {
        let outputs = self.cloud.outputs(EXAMPLES).await?;
        let function = outputs.get("RowWriterFunctionName");
        let function = function.context("the examples' stack has no output RowWriterFunctionName")?;
        self.cloud.invoke(function, &json!({ "rows": rows })).await
    }

    pub(super) async fn mappings(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let changed = json!({ "TableMappings": mappings("examples") });
        self.plan(&changed, tell).await?;
        let ended = self.deploy(&changed, tell).await?;
        self.resumed().await?;
        Ok(ended)
    }

    pub(super) async fn retention(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let changed = json!({ "StreamRetentionHours": 48 });
        self.plan(&changed, tell).await?;
        self.deploy(&changed, tell).await
    }

    pub(super) async fn replacement(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        // An endpoint's name can't be changed: it becomes another endpoint, and its task another task.
        self.cloud.edit_packaged("stream.yaml", |template| {
            let endpoint = &mut template["Resources"]["TargetEndpoint"];
            endpoint["Properties"]["ResourceIdentifier"] = json!("changes-of-the-blog");
        })?;
        self.plan(&json!({}), tell).await?;
        let ended = self.deploy(&json!({}), tell).await?;
        let old = self.task.replace(self.present_task().await?);
        ensure!(old != self.task, "the task is still the old one");
        let runs = self.task.as_ref().map(|task| self.cloud.dms.runs(task));
        let given = runs.unwrap_or_default().pop().and_then(|run| run.given);
        let given = given.context("the new task was not told where to begin")?;
        tell(Line::Note(format!("the new task began where the old one had stopped, at {given}")));
        Ok(ended)
    }

    pub(super) async fn failure(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        // DMS wants at least one rule. CloudFormation doesn't know.
        let ended = self.deploy(&json!({ "TableMappings": { "rules": [] } }), tell).await?;
        tell(Line::Note(format!("the stack is {ended}; its task is to run again without anybody's help")));
        self.resumed_within(Duration::from_secs(60), tell).await?;
        Ok(ended)
    }

    pub(super) async fn deletion(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let id = |stack| self.cloud.stack_id(stack);
        let [examples, stream, db_init, database, handlers] = [
            id(EXAMPLES).await?,
            id(STREAM).await?,
            id(DB_INIT).await?,
            id(DATABASE).await?,
            id(HANDLERS).await?,
        ];
        let stacks = [&*examples, &stream, &db_init, &database, &handlers];
        let said = self.operate("destroy", &json!({}), &stacks, tell).await?;
        ensure!(said.well, "{}", said.lines.join("\n"));
        let stays = said.lines.iter().filter(|line| line.contains("stays:"));
        stays.for_each(|line| tell(Line::Said("destroy", line.trim().to_owned())));
        for stack in stacks {
            let ended = self.cloud.status(stack).await?;
            ensure!(ended == "DELETE_COMPLETE", "{stack} ended in {ended}");
        }
        Ok("DELETE_COMPLETE".to_owned())
    }

    /// The task was resumed, not started anew, and carries no mark any more.
    async fn resumed(&self) -> anyhow::Result<()> {
        let task = self.task.as_ref().context("there is no task")?;
        let runs = self.cloud.dms.runs(task);
        let last = runs.last().context("the task has never run")?;
        ensure!(last.start_type == StartType::Resume, "the task was not resumed but started: {last:?}");
        ensure!(!self.cloud.dms.is_marked(task), "the task still carries the pause mark");
        Ok(())
    }

    /// Waits until the task runs again, resumed and without a mark, though the stack's operation is over.
    ///
    /// # Errors
    /// If it doesn't in that time.
    pub async fn resumed_within(&mut self, time: Duration, tell: &mut dyn FnMut(Line)) -> anyhow::Result<()> {
        let task = self.task.clone().context("there is no task")?;
        let until = Instant::now() + time;
        loop {
            let mut show = |sight| tell(Line::Sight(sight));
            self.cloud.look(STREAM, &mut self.watch, &mut show).await?;
            let runs = self.cloud.dms.status(&task) == Some(TaskStatus::Running);
            if runs && self.resumed().await.is_ok() {
                return Ok(());
            }
            ensure!(Instant::now() < until, "the task does not run {} s after the rollback", time.as_secs());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Table mappings with this table alone.
pub fn mappings(table: &str) -> String {
    let rule = serde_json::json!({
        "rule-type": "selection", "rule-id": "1", "rule-name": "1", "rule-action": "include",
        "object-locator": { "schema-name": "blog", "table-name": table },
    });
    serde_json::json!({ "rules": [rule] }).to_string()
}

/// The functions run on this machine, so this is what they were built for.
pub fn architecture() -> String {
    let name = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x86_64" };
    name.to_owned()
}
