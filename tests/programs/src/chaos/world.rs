//! The database, the stack, the writer and the subscriber, and a round of an update among them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use mysql_async::Opts;
use serde_json::{Value, json};
use stage::dms::{Arn, TaskStatus};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Ended;
use super::change::changed;
use super::plan::{Operation, Round, Trouble};
use super::trouble::Reach;
use crate::timeline::Film;
use stage::cloud::stacks::{Failure, Mode, Sight, Watch};
use stage::cloud::stream::database;
use stage::cloud::{Cloud, FunctionLine};
use stage::dms::{Pace, Throttle};
use stage::mysql::MysqlServer;
use stage::replica::binlog::Position;
use stage::traffic::count::{Count, count, missing};
use stage::traffic::subscriber::Subscriber;
use stage::traffic::writer::Writer;

const STACK: &str = "chaos";
const EVERY: Duration = Duration::from_millis(80);

/// How long a task may take to run again, and a row to come out of the stream.
const PATIENCE: Duration = Duration::from_secs(90);

/// What somebody who watches is told.
#[derive(Debug)]
pub enum Line {
    /// A round begins.
    Round(usize, Round),
    /// Something happened in the cloud.
    Sight(Sight),
    /// Something else to know.
    Note(String),
    /// What the stream carried, however the run ended.
    Film(Film),
}

pub(super) struct World {
    writer: Writer,
    subscriber: Subscriber,
    cloud: Cloud,
    server: Arc<AsyncMutex<MysqlServer>>,
    opts: Opts,
    from: Position,
    template: Value,
    parameters: BTreeMap<&'static str, String>,
    deployments: u64,
    watch: Watch,
}

impl World {
    /// One in which the stack stands, the task runs, and rows are written and seen.
    pub(super) async fn new(seed: u64, tell: &mut dyn FnMut(Line)) -> anyhow::Result<Self> {
        let (server, cloud) = tokio::try_join!(database(), Cloud::start_at(pace()))?;
        cloud.replicates();
        let parameters = cloud.stream_parameters(&server).await?;
        let template = cloud.package("stream.yaml").await?;
        let mut watch = Watch::default();
        let mut show = |sight| tell(Line::Sight(sight));
        let made = cloud.deploy(STACK, &template, &parameters, &mut watch, &mut show);
        let made = made.await?;
        ensure!(made == "CREATE_COMPLETE", "the stack is {made}");
        let outputs = cloud.outputs(STACK).await?;
        let output = |name: &str| outputs.get(name).with_context(|| format!("no output {name}"));
        let task = Arn::new(output("ReplicationTaskArn")?);
        let from = cloud.dms.runs(&task).first().and_then(|run| run.from.clone());
        let from = from.context("the task reads no log")?.parse();
        let opts = server.opts();
        Ok(Self {
            writer: Writer::start(opts.clone(), EVERY, seed),
            subscriber: Subscriber::of_stream(cloud.endpoint(), output("StreamArn")?),
            server: Arc::new(AsyncMutex::new(server)),
            opts,
            from: from.map_err(anyhow::Error::msg)?,
            template: serde_json::from_str(&template)?,
            parameters,
            deployments: 0,
            watch,
            cloud,
        })
    }

    /// Plays a round, and demands what is demanded after it.
    pub(super) async fn play(&mut self, round: &Round, tell: &mut dyn FnMut(Line)) -> anyhow::Result<Ended> {
        let began = Instant::now();
        self.deployments += 1;
        let number = self.deployments;
        let (template, keeps) = changed(&self.template, round.operation, number);
        self.parameters.insert("DeploymentId", number.to_string());
        let mut parameters = self.parameters.clone();
        if round.operation == Operation::Nothing {
            parameters.insert("StreamRetentionHours", (24 + number).to_string());
        }
        let text = template.to_string();
        let change_set = self.cloud.change_set(STACK, &text, &parameters, Mode::Standard).await?;
        let reach = Reach {
            dms: self.cloud.dms.clone(),
            server: Arc::clone(&self.server),
            cloudformation: self.cloud.cloudformation.clone(),
            stack: STACK,
            task: self.cloud.task_of(STACK).await?,
            at_work: Arc::default(),
        };
        let mut troubles = JoinSet::new();
        for trouble in &round.troubles {
            troubles.spawn(reach.clone().happen(*trouble));
        }
        let mut failures = Vec::new();
        let mut show = |sight: Sight| {
            note_run(&sight, &reach.at_work);
            failures.extend(failure(&sight));
            tell(Line::Sight(sight));
        };
        let (watch, failing) = (&mut self.watch, Failure::RollsBack);
        let status = self.cloud.execute(&change_set, failing, watch, &mut show);
        let status = status.await?;
        while let Some(happened) = troubles.join_next().await {
            happened??;
        }
        self.cloud.dms.throttles(Throttle::new(1_000_000, 1_000_000, 0.0));
        if status == "UPDATE_COMPLETE" && keeps {
            self.template = template;
            self.parameters = parameters;
        }
        let needed_help = self.runs_again(round, &failures, tell).await?;
        self.only_one_runs(&failures, tell).await?;
        let missing = missing(&self.opts, &self.from, &self.subscriber, PATIENCE).await?;
        ensure!(missing.is_empty(), "lost: {missing:?}");
        ensure!(
            !status.ends_with("_FAILED"),
            "the stack can't be updated any more: it is {status}: {failures:?}"
        );
        Ok(Ended { round: round.clone(), status, failures, needed_help, took: began.elapsed() })
    }

    /// Stops the writer, and counts.
    pub(super) async fn count(&mut self) -> anyhow::Result<Count> {
        let journal = self.writer.stop().await?;
        let counted = count(&self.opts, &self.from, &journal, &self.subscriber, PATIENCE);
        let counted = counted.await?;
        ensure!(counted.is_right(), "the count is wrong: {counted:?}");
        Ok(counted)
    }

    /// What the stream has carried by now.
    pub(super) fn film(&self) -> Film {
        let seen = self.subscriber.seen().unwrap_or_default();
        Film::new(&self.cloud.dms, &self.writer.journal(), &seen)
    }

    /// Waits until the stack's task runs. Whether somebody had to resume it: an operator's stop stays, and a failure that
    /// the stack's events tell of may leave the task to people.
    async fn runs_again(
        &mut self,
        round: &Round,
        failures: &[String],
        tell: &mut dyn FnMut(Line),
    ) -> anyhow::Result<bool> {
        let stopped = |it: &Trouble| matches!(it, Trouble::OperatorStops(_));
        let excused = round.troubles.iter().any(stopped);
        let (began, mut helped) = (Instant::now(), false);
        let task = self.cloud.task_of(STACK).await?;
        let dms = self.cloud.dms.clone();
        loop {
            let mut show = |sight| tell(Line::Sight(sight));
            self.cloud.look(STACK, &mut self.watch, &mut show).await?;
            let status = dms.status(&task);
            if status == Some(TaskStatus::Running) {
                return Ok(helped);
            }
            // Healing takes some seconds. Whoever stopped it by hand can't expect it to come back.
            let patience = if excused { PATIENCE / 6 } else { PATIENCE };
            if began.elapsed() > patience {
                ensure!(
                    (excused || !failures.is_empty()) && !helped,
                    "the task is {status:?}, and nobody says why"
                );
                let rests = "the task rests, as it was left; somebody resumes it";
                tell(Line::Note(rests.to_owned()));
                let input = json!({ "ReplicationTaskArn": task.as_str(),
                    "StartReplicationTaskType": "resume-processing" });
                let _ = dms.call("StartReplicationTask", &input);
                helped = true;
                tokio::time::timeout(PATIENCE, async {
                    while dms.status(&task) != Some(TaskStatus::Running) {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                })
                .await
                .context("the task can't be resumed")?;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A task that was replaced and that somebody resumed can't be deleted, as CloudFormation then says. It would hide what
    /// its replacement loses, so it is stopped.
    async fn only_one_runs(&self, failures: &[String], tell: &mut dyn FnMut(Line)) -> anyhow::Result<()> {
        let (own, dms) = (self.cloud.task_of(STACK).await?, &self.cloud.dms);
        let described = dms.call("DescribeReplicationTasks", &json!({}))?;
        let tasks = described["ReplicationTasks"].as_array();
        for task in tasks.into_iter().flatten() {
            let arn = Arn::new(task["ReplicationTaskArn"].as_str().unwrap_or_default());
            if arn == own || dms.status(&arn) != Some(TaskStatus::Running) {
                continue;
            }
            let told = failures.iter().any(|it| it.contains("DELETE_FAILED"));
            ensure!(told, "two tasks run, and nobody says why");
            let left = "the replaced task runs, too, and CloudFormation said so; somebody stops it";
            tell(Line::Note(left.to_owned()));
            dms.call("StopReplicationTask", &json!({ "ReplicationTaskArn": arn.as_str() }))?;
        }
        Ok(())
    }
}

/// Remembers the last line of the handlers that can be killed, until it says that it has answered.
fn note_run(sight: &Sight, at_work: &Mutex<Option<FunctionLine>>) {
    if let Sight::Function(line) = sight
        && ["sluice-dms-pre", "sluice-dms-post"].contains(&line.function.as_str())
    {
        let done = line.line.contains("CloudFormation has the answer");
        *at_work.lock().unwrap() = (!done).then(|| line.clone());
    }
}

/// What a stack's event says of a failure.
fn failure(sight: &Sight) -> Option<String> {
    match sight {
        Sight::Stack { resource, status, reason, .. } if status.contains("FAILED") && !reason.is_empty() => {
            Some(format!("{resource} {status}: {reason}"))
        }
        _ => None,
    }
}

/// Long enough for something to go wrong in the middle.
fn pace() -> Pace {
    Pace {
        create: Duration::from_millis(300),
        start: Duration::from_millis(1_200),
        stop: Duration::from_millis(800),
        modify: Duration::from_millis(500),
        delete: Duration::from_millis(300),
        connection_test: Duration::from_millis(2_500),
        lag: Duration::from_millis(300),
        ..Pace::brisk()
    }
}
