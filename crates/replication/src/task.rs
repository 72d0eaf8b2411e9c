//! A replication task as DMS describes it, in types that are made once, at the edge.

use std::fmt;
use std::time::SystemTime;

/// The Amazon Resource Name of a DMS resource: a task, an endpoint or a replication instance.
///
/// CloudFormation's physical id of each of these is its ARN, so a change set and a description of a task can be
/// compared by it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Arn(String);

impl Arn {
    /// Takes an ARN as a service returned it.
    pub fn new(arn: impl Into<String>) -> Self {
        Self(arn.into())
    }

    /// The ARN's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What decisions need to know of a task's status. DMS has more statuses, and adds some over the years.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Made, and never run; DMS also calls a task `ready` that was modified before its first run ended.
    Ready,
    /// Connecting; it can't be stopped yet.
    Starting,
    /// Replicating.
    Running,
    /// On its way to rest.
    Stopping,
    /// At rest with a checkpoint.
    Stopped,
    /// Ended by an error. It can be modified and resumed.
    Failed,
    /// Being made, changed, tested or moved, or in a status that this version does not know.
    InTransit,
    /// Being deleted.
    Deleting,
}

impl State {
    /// The state behind a status in DMS's spelling.
    pub fn of(status: &str) -> Self {
        match status {
            "ready" => Self::Ready,
            "starting" => Self::Starting,
            "running" => Self::Running,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "failed" | "failed-move" => Self::Failed,
            "deleting" => Self::Deleting,
            _ => Self::InTransit,
        }
    }

    /// Whether a task in this state can be modified and started: it stays there until somebody does something.
    pub fn rests(self) -> bool {
        matches!(self, Self::Ready | Self::Stopped | Self::Failed)
    }

    /// Whether a task in this state has its endpoints in use.
    pub fn works(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

/// DMS's reasons for a stop after which nothing is left to do. (API reference, `StopReason`)
pub const FINISHED: [&str; 6] = [
    "FULL_LOAD_ONLY_FINISHED",
    "STOPPED_AFTER_FULL_LOAD",
    "STOPPED_AFTER_CACHED_EVENTS",
    "STOPPED_AFTER_DDL_APPLY",
    "STOPPED_AT_SERVER_TIME",
    "STOPPED_AT_COMMIT_TIME",
];

/// DMS's reasons for a stop that nobody asked for, and after which DMS does not start the task again by itself.
/// `stream.yaml`'s rule tells people of these. (API reference, `StopReason`)
pub const UNASKED: [&str; 5] = [
    "RECOVERABLE_ERROR",
    "FATAL_ERROR",
    "EXPRESS_LICENSE_LIMITS_REACHED",
    "STOPPED_DUE_TO_LOW_MEMORY",
    "STOPPED_DUE_TO_LOW_DISK",
];

/// What a task does: copy what is there, follow changes, or both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MigrationType {
    /// `full-load`: ends by itself.
    FullLoad,
    /// `cdc`: follows the binlog from a position.
    Cdc,
    /// `full-load-and-cdc`: copies first, then follows.
    FullLoadAndCdc,
    /// A type of which this version knows nothing but the name.
    Unknown(String),
}

impl From<&str> for MigrationType {
    fn from(name: &str) -> Self {
        match name {
            "full-load" => Self::FullLoad,
            "cdc" => Self::Cdc,
            "full-load-and-cdc" => Self::FullLoadAndCdc,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// A source endpoint, as far as it matters for positions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The kind of database, as DMS calls it, such as `aurora-postgresql`.
    pub engine: String,
    /// The replication slot that it names; only for PostgreSQL.
    pub slot: Option<String>,
}

impl Source {
    /// An endpoint of this engine, which names its slot in its settings or in its extra connection attributes.
    pub fn new(engine: &str, slot: Option<&str>, attributes: Option<&str>) -> Self {
        let attributes = attributes.unwrap_or_default().split(';').filter_map(|it| it.split_once('='));
        let attribute = attributes.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("slotName"));
        let slot = slot.or(attribute.map(|(_, slot)| slot)).map(str::trim).filter(|slot| !slot.is_empty());
        Self { engine: engine.to_ascii_lowercase(), slot: slot.map(str::to_owned) }
    }
}

/// A replication task at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Task {
    /// Its ARN.
    pub arn: Arn,
    /// Its identifier: the name that people know it by.
    pub name: String,
    /// Its state. It may lag what happened by 20 s and more, in both directions.
    pub state: State,
    /// The status behind the state, in DMS's spelling.
    pub status: String,
    /// What it does.
    pub migration_type: MigrationType,
    /// The endpoint it reads from.
    pub source: Arn,
    /// The endpoint it writes to.
    pub target: Arn,
    /// The replication instance it runs on.
    pub instance: Arn,
    /// Why it last stopped, such as `Stop Reason NORMAL`.
    pub stop_reason: Option<String>,
    /// When its last run began.
    pub started_at: Option<SystemTime>,
    /// When its last run ended.
    pub stopped_at: Option<SystemTime>,
    /// The message of its last failure.
    pub last_failure: Option<String>,
    /// The position that it was made or modified with (`CdcStartPosition`).
    pub own_position: Option<String>,
    /// The position up to which it has read, in DMS's own encoding. DMS shows it while the task rests, and loses it with
    /// the task.
    pub checkpoint: Option<String>,
}

impl Task {
    /// Whether it is stopped and has done all it was to do.
    pub fn has_finished(&self) -> bool {
        let reason = self.stop_reason.as_deref().unwrap_or_default();
        self.state == State::Stopped && FINISHED.iter().any(|finished| reason.contains(finished))
    }

    /// Whether it was stopped by nobody, as far as DMS tells, before it had finished.
    pub fn stopped_by_itself(&self) -> bool {
        let reason = self.stop_reason.as_deref();
        self.state == State::Stopped
            && reason.is_some_and(|reason| !reason.contains("NORMAL"))
            && !self.has_finished()
    }
}
