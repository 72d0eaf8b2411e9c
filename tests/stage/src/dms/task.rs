//! A task of the stand-in: the phases of its life, and its runs.

use super::TaskStatus;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::pace::Pace;
use super::refusal::{Document, text};
use super::timeline::Timeline;

/// What is true of a task from one moment to the next.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) status: TaskStatus,
    pub(super) stop_reason: Option<String>,
    pub(super) last_failure: Option<String>,
    /// Where a resume goes on. DMS shows it while the task rests.
    pub(super) checkpoint: Option<String>,
}

impl Phase {
    pub(super) fn new(status: TaskStatus) -> Self {
        Self { status, stop_reason: None, last_failure: None, checkpoint: None }
    }

    pub(super) fn stopped(reason: &str, checkpoint: Option<String>) -> Self {
        Self {
            stop_reason: Some(format!("Stop Reason {reason}")),
            checkpoint,
            ..Self::new(TaskStatus::Stopped)
        }
    }

    pub(super) fn failed(message: &str, checkpoint: Option<String>) -> Self {
        Self {
            status: TaskStatus::Failed,
            last_failure: Some(message.to_owned()),
            ..Self::stopped("FATAL_ERROR", checkpoint)
        }
    }

    /// Whether a task can be started, modified and deleted now.
    pub(super) fn rests(&self) -> bool {
        matches!(
            self.status,
            TaskStatus::Ready | TaskStatus::Stopped | TaskStatus::Failed | TaskStatus::FailedMove
        )
    }

    /// Whether a task has its endpoints and its instance in use.
    pub(super) fn works(&self) -> bool {
        matches!(self.status, TaskStatus::Starting | TaskStatus::Running | TaskStatus::Stopping)
    }
}

/// The types of a start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StartType {
    /// `start-replication`.
    Start,
    /// `resume-processing`.
    Resume,
    /// `reload-target`.
    Reload,
}

/// One run of a task.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it was started.
    pub start_type: StartType,
    /// The `CdcStartPosition` that came with the start.
    pub given: Option<String>,
    /// Where it begins to read: what was given, the task's own position, its checkpoint, or the binlog's end at the
    /// time. `None`: it doesn't read the binlog.
    pub from: Option<String>,
    /// Whether `from` is the log's end, for want of anything better.
    pub(super) from_now: bool,
    pub(super) started: Instant,
    pub(super) ended: Option<Instant>,
}

/// A replication task.
#[derive(Debug)]
pub(super) struct Task {
    /// What it was created and modified with.
    pub(super) document: Document,
    /// Tells its checkpoints from those of other tasks.
    pub(super) serial: u64,
    pub(super) created: Instant,
    pub(super) life: Timeline<Phase>,
    pub(super) runs: Vec<Run>,
    /// Whether all rows that were there before are in the target.
    pub(super) loaded: bool,
    /// With what the next run will fail.
    pub(super) next_run_fails: Option<String>,
}

impl Task {
    pub(super) fn name(&self) -> &str {
        text(&self.document, "ReplicationTaskIdentifier")
    }

    pub(super) fn uses(&self, arn: &str) -> bool {
        ["SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn"]
            .iter()
            .any(|name| text(&self.document, name) == arn)
    }

    pub(super) fn loads(&self) -> bool {
        text(&self.document, "MigrationType") != "cdc"
    }

    pub(super) fn follows(&self) -> bool {
        text(&self.document, "MigrationType") != "full-load"
    }

    /// Begins a run. `head` is the end of the binlog as a position. `has_log`: what came before is still to be had.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        start_type: StartType,
        given: Option<&str>,
        (head, has_log): (String, bool),
        pace: &Pace,
    ) {
        let own = self.document.get("CdcStartPosition");
        let own = own.and_then(Value::as_str).map(str::to_owned);
        let given = given.map(str::to_owned);
        let checkpoint = self.life.at(now).and_then(|rest| rest.checkpoint.clone());
        let known = match start_type {
            StartType::Resume => checkpoint.or(own),
            StartType::Start | StartType::Reload => given.clone().or(own),
        };
        let known = known.filter(|_| self.follows() && has_log);
        self.runs.push(Run {
            start_type,
            given,
            from_now: known.is_none(),
            from: known.clone().or(self.follows().then_some(head)),
            started: now,
            ended: None,
        });
        self.life.turn(now, Phase::new(TaskStatus::Starting));
        if let Some(message) = self.next_run_fails.take() {
            // It fails before it reads: what it knew is what the next run knows.
            let failed = Phase::failed(&message, known);
            self.life.then(pace.start, Some(failed));
            self.run_ends(now + pace.start);
        } else {
            let running = Phase::new(TaskStatus::Running);
            self.life.then(pace.start, Some(running));
            self.finishes_by_itself(now + pace.start, pace);
        }
    }

    /// The end of a run that only loads, from `running` on.
    pub(super) fn finishes_by_itself(&mut self, running: Instant, pace: &Pace) {
        if !self.follows() {
            let finished = Phase::stopped("FULL_LOAD_ONLY_FINISHED", None);
            self.life.then(pace.load, Some(finished));
            self.run_ends(running + pace.load);
        }
    }

    /// Stops a run that is going on.
    pub(super) fn end(&mut self, now: Instant, head: &str, pace: &Pace) {
        let checkpoint = self.checkpoint(head);
        self.life
            .turn(now, Phase::new(TaskStatus::Stopping))
            .then(pace.stop, Some(Phase::stopped("NORMAL", checkpoint)));
        self.run_ends(now + pace.stop);
    }

    /// Breaks a run that is going on.
    pub(super) fn fail(&mut self, now: Instant, head: &str, message: &str) {
        let checkpoint = self.checkpoint(head);
        self.life.turn(now, Phase::failed(message, checkpoint));
        self.run_ends(now);
    }

    /// Makes all that is so now so since before.
    pub(super) fn backdate(&mut self, now: Instant, before: Instant) {
        self.created = before;
        self.life.backdate(now, before);
        for run in &mut self.runs {
            run.started = before;
            run.ended = run.ended.map(|at| if at == now { before } else { at });
        }
    }

    pub(super) fn run_ends(&mut self, at: Instant) {
        if let Some(run) = self.runs.last_mut() {
            run.ended = Some(at);
        }
    }

    /// What a run leaves behind that has read up to `head`: the form of DMS's own checkpoints.
    pub(super) fn checkpoint(&self, head: &str) -> Option<String> {
        let (serial, (file, position)) = (self.serial, head.split_once(':')?);
        let checkpoint = format!(
            "checkpoint:V1#{serial}#{file}:{position}:-1:{position}:{serial:015}:{file}:{position}#0#0#*#0#{serial}"
        );
        self.follows().then_some(checkpoint)
    }

    /// The task as DMS describes it, at a moment that may lie in the past; `None` once it is gone. When its
    /// runs began and ended is told as of `dates`, whatever the status says, or not at all.
    pub(super) fn describe(
        &self,
        moment: Instant,
        dates: Option<Instant>,
        timestamp: impl Fn(Instant) -> Value,
    ) -> Option<Document> {
        let moment = moment.max(self.created);
        let phase = self.life.at(moment)?;
        let mut document = self.document.clone();
        let mut set = |name: &str, value: Value| document.insert(name.to_owned(), value);
        set("Status", json!(phase.status.as_str()));
        set("ReplicationTaskCreationDate", timestamp(self.created));
        if let Some(reason) = &phase.stop_reason {
            set("StopReason", json!(reason));
        }
        if let Some(message) = &phase.last_failure {
            set("LastFailureMessage", json!(message));
        }
        if let Some(checkpoint) = phase.checkpoint.as_ref().filter(|_| phase.rests()) {
            set("RecoveryCheckpoint", json!(checkpoint));
        }
        let past = |at| self.runs.iter().rev().filter(move |run| run.started <= at);
        if let Some(run) = past(moment).next() {
            let ended = run.ended.filter(|ended| *ended <= moment);
            let elapsed = ended.unwrap_or(moment) - run.started;
            let loaded = self.loads() && phase.status != TaskStatus::Starting;
            set(
                "ReplicationTaskStats",
                json!({
                    "ElapsedTimeMillis": elapsed.as_millis() as u64,
                    "FullLoadProgressPercent": if loaded { 100 } else { 0 },
                    "TablesLoaded": u8::from(loaded),
                    "TablesLoading": 0,
                    "TablesQueued": 0,
                    "TablesErrored": 0,
                }),
            );
        }
        if let Some(now) = dates
            && let Some(run) = past(now).next()
        {
            let fresh = past(now).find(|run| run.start_type != StartType::Resume);
            let started = timestamp(run.started);
            document.insert("ReplicationTaskStartDate".to_owned(), started.clone());
            let stats = document.entry("ReplicationTaskStats").or_insert(json!({}));
            stats["StartDate"] = started;
            stats["FreshStartDate"] = timestamp(fresh.unwrap_or(run).started);
            if let Some(ended) = run.ended.filter(|ended| *ended <= now) {
                stats["StopDate"] = timestamp(ended);
            }
        }
        Some(document)
    }
}
