//! A cloud with one set-up in it: an operation on its stack, and what came of it.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use mysql_async::{Conn, Opts};
use serde_json::Value;
use stage::dms::TaskStatus;
use tokio::time::Instant;

use super::operator::{Left, help, look, tasks, until};
use super::rest::{is_work, rest};
use super::template::template;
use super::{Operation, Outcome, SetUp, Times};
use crate::chaos;
use stage::cloud::Cloud;
use stage::cloud::stacks::{Failure, Mode, Sight, Watch};
use stage::mysql::MysqlServer;
use stage::replica::binlog::{Position, head};
use stage::traffic::count::{Change, missing};
use stage::traffic::subscriber::Subscriber;
use stage::traffic::writer::Writer;

const STACK: &str = "stream";

/// A stream in which no task has run or moved for so long is dead.
pub const DEAD: Duration = Duration::from_secs(15);

/// A set-up at work.
pub(super) struct World<'a> {
    set_up: SetUp,
    cloud: Cloud,
    template: Value,
    parameters: BTreeMap<&'static str, String>,
    deployments: u64,
    lag: Duration,
    watch: Watch,
    opts: Opts,
    writer: &'a Writer,
    tell: &'a dyn Fn(SetUp, String),
    /// Who reads the stream, once there is one.
    subscriber: Option<Subscriber>,
    /// Where the stream began, and from where on the log is still to be compared with it.
    from: Option<(Position, Position)>,
    lost: HashSet<Change>,
}

impl<'a> World<'a> {
    /// One in which there is no stack yet.
    pub(super) async fn new(
        set_up: SetUp,
        times: &Times,
        server: &MysqlServer,
        writer: &'a Writer,
        tell: &'a dyn Fn(SetUp, String),
    ) -> anyhow::Result<Self> {
        let cloud = Cloud::start_at(times.pace.clone()).await?;
        cloud.replicates();
        let mut parameters = cloud.stream_parameters(server).await?;
        if set_up == SetUp::Snippet {
            parameters.insert("PollSeconds", times.poll.to_string());
        }
        Ok(Self {
            set_up,
            template: template(&cloud, set_up).await?,
            parameters,
            deployments: 0,
            lag: times.pace.lag + Duration::from_secs(1),
            watch: Watch::default(),
            opts: server.opts(),
            writer,
            tell,
            subscriber: None,
            from: None,
            lost: HashSet::new(),
            cloud,
        })
    }

    /// Plays an operation, waits until the stream runs again or is dead, helps, and counts.
    pub(super) async fn play(&mut self, operation: Operation) -> anyhow::Result<Outcome> {
        self.say(operation.to_string());
        let dms = self.cloud.dms.clone();
        // What DMS says trails what is.
        tokio::time::sleep(self.lag).await;
        let (began, violations) = (dms.time(), dms.violations().len());
        let status = self.deploy(operation).await?;
        self.comes_to_rest().await?;
        let ended = dms.time();
        let own = self.cloud.task_of(STACK).await?;
        let mut left = Vec::from_iter(look(&dms, &own)?);
        for what in &left {
            self.say(format!("left to people: {what}"));
            help(&dms, &own, *what).await?;
        }
        let is_dead = [Left::Start, Left::Resume].iter().any(|it| left.contains(it));
        let rest = (!is_dead && operation != Operation::Create).then(|| rest(&dms, began, ended));
        let is_made = !status.contains("ROLLBACK");
        if operation.is_to_succeed() && !is_made {
            left.push(match self.set_up {
                SetUp::Plain => Left::Change,
                SetUp::Snippet | SetUp::Sluice => Left::Deploy,
            });
        }
        if dms.violations().len() > violations {
            left.push(Left::Restart);
        }
        if self.subscriber.is_none() {
            self.subscribe().await?;
        }
        let lost = self.lost().await?;
        self.say(format!("{status}, {rest:?}, lost {lost}, {left:?}"));
        Ok(Outcome { set_up: self.set_up, operation, status, rest, lost, left })
    }

    /// Demands that what was counted lost did not come later.
    pub(super) async fn adds_up(&self) -> anyhow::Result<()> {
        let (from, _) = self.from.as_ref().context("there was no stream")?;
        let missing = self.missing(from).await?;
        let came = self.lost.difference(&missing).count();
        ensure!(came == 0, "{came} changes that were counted lost came later");
        Ok(())
    }

    /// Creates or updates the stack; the status in which it ended.
    async fn deploy(&mut self, operation: Operation) -> anyhow::Result<String> {
        self.deployments += 1;
        let change = match operation {
            Operation::Create | Operation::Nothing => chaos::Operation::Nothing,
            Operation::Task | Operation::Cancelled | Operation::RunFails => chaos::Operation::Task,
            Operation::Endpoint => chaos::Operation::Source,
            Operation::Replace => chaos::Operation::ReplaceTask,
            Operation::Refused => chaos::Operation::Refused,
        };
        let (template, _) = chaos::changed(&self.template, change, self.deployments);
        let mut parameters = self.parameters.clone();
        parameters.insert("DeploymentId", self.deployments.to_string());
        if operation == Operation::Nothing {
            parameters.insert("StreamRetentionHours", "48".to_owned());
        }
        if operation == Operation::RunFails {
            let task = self.cloud.task_of(STACK).await?;
            let why = "Task error notification received from subtask 0, thread 0";
            self.cloud.dms.fail_next_run(&task, why);
        }
        let text = template.to_string();
        let change_set = self.cloud.change_set(STACK, &text, &parameters, Mode::Standard).await?;
        let tell = self.tell;
        let set_up = self.set_up;
        let mut show = |sight: Sight| {
            if let Sight::Stack { resource, status, reason, .. } = sight
                && status.contains("FAILED")
            {
                tell(set_up, format!("{resource} {status}: {reason}"));
            }
        };
        let watch = &mut self.watch;
        let execute = self.cloud.execute(&change_set, Failure::RollsBack, watch, &mut show);
        let status = tokio::select! {
            status = execute => status?,
            failed = cancels(&self.cloud, operation == Operation::Cancelled) => return Err(failed),
        };
        if !status.contains("ROLLBACK") {
            (self.template, self.parameters) = (template, parameters);
        }
        Ok(status)
    }

    /// Waits until a task runs and none is on its way, or until nothing has moved for long.
    async fn comes_to_rest(&self) -> anyhow::Result<()> {
        let dms = &self.cloud.dms;
        let mut moved = Instant::now();
        until(|| {
            let statuses = tasks(dms)?.into_iter().filter_map(|task| dms.status(&task));
            let statuses: Vec<TaskStatus> = statuses.collect();
            let moves = statuses.iter().any(is_work);
            if moves {
                moved = Instant::now();
            }
            let runs = statuses.contains(&TaskStatus::Running);
            Ok((runs && !moves) || moved.elapsed() > DEAD)
        })
        .await
    }

    /// Somebody reads the stream from now on, from its beginning.
    async fn subscribe(&mut self) -> anyhow::Result<()> {
        let outputs = self.cloud.outputs(STACK).await?;
        let stream = outputs.get("StreamArn").context("no output StreamArn")?;
        self.subscriber = Some(Subscriber::of_stream(self.cloud.endpoint(), stream));
        let runs = self.cloud.dms.runs(&self.cloud.task_of(STACK).await?);
        let from = runs.first().and_then(|run| run.from.as_ref());
        let from = from.context("the task reads no log")?.parse();
        let from: Position = from.map_err(anyhow::Error::msg)?;
        self.from = Some((from.clone(), from));
        Ok(())
    }

    /// How many changes of those made so far did not come out of the stream, and were not counted before.
    async fn lost(&mut self) -> anyhow::Result<usize> {
        let (_, from) = self.from.clone().context("there was no stream")?;
        let mut conn = Conn::new(self.opts.clone()).await?;
        let next = head(&mut conn).await?;
        conn.disconnect().await?;
        let late = self.missing(&from).await?;
        // A stream is in the log's order: when something that is yet to be written has come, all before it has.
        let written = self.writer.journal().len();
        until(|| self.has_seen(written)).await.context("nothing new comes out of the stream")?;
        let missing = self.missing(&from).await?;
        let known = self.lost.len();
        self.lost.extend(late.intersection(&missing).cloned());
        if let Some((_, from)) = &mut self.from {
            *from = next;
        }
        Ok(self.lost.len() - known)
    }

    /// What is in the log, from there on, and has not come yet.
    async fn missing(&self, from: &Position) -> anyhow::Result<HashSet<Change>> {
        let subscriber = self.subscriber.as_ref().context("nobody reads")?;
        let missing = missing(&self.opts, from, subscriber, Duration::ZERO).await?;
        Ok(missing.into_iter().collect())
    }

    /// Whether something has come that the writer wrote after these many changes.
    fn has_seen(&self, written: usize) -> anyhow::Result<bool> {
        let subscriber = self.subscriber.as_ref().context("nobody reads")?;
        // A deleted row's text has come before.
        let later = self.writer.journal().split_off(written).into_iter();
        let later = later.filter(|it| it.operation != "delete");
        let later: HashSet<String> = later.map(|it| it.text).collect();
        let seen = subscriber.seen()?;
        let mut texts = seen.iter().rev().map(|it| &it.change.change.2);
        Ok(texts.any(|it| later.contains(it)))
    }

    fn say(&self, what: String) {
        (self.tell)(self.set_up, what);
    }
}

/// Cancels the update as soon as the task is being changed, if that is wanted. It ends only with an error.
async fn cancels(cloud: &Cloud, is_wanted: bool) -> anyhow::Error {
    let cancel = async || -> anyhow::Result<()> {
        let dms = &cloud.dms;
        let changes = |task| dms.status(&task) == Some(TaskStatus::Modifying);
        until(|| Ok(tasks(dms)?.into_iter().any(changes))).await?;
        cloud.cloudformation.ask("CancelUpdateStack", &[("StackName", STACK)]).await?;
        Ok(())
    };
    if is_wanted && let Err(error) = cancel().await {
        return error;
    }
    std::future::pending().await
}
