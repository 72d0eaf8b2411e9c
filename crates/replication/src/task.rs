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

/// The status of a task. DMS adds statuses over the years; one that is not known here is kept by its name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum TaskStatus {
    /// Being created.
    Creating,
    /// Created or modified, and never run.
    Ready,
    /// Connecting; it can't be stopped yet.
    Starting,
    /// Replicating.
    Running,
    /// On its way to `stopped`.
    Stopping,
    /// At rest with a checkpoint.
    Stopped,
    /// Being modified.
    Modifying,
    /// Testing its connections, or running a premigration assessment.
    Testing,
    /// Being moved to another instance.
    Moving,
    /// Ended by an error; it can be modified and resumed.
    Failed,
    /// The move to another instance failed; it can be modified and resumed.
    FailedMove,
    /// Being deleted.
    Deleting,
    /// A status of which this version knows nothing but the name.
    Unknown(String),
}

impl TaskStatus {
    const NAMES: [(&'static str, TaskStatus); 12] = [
        ("creating", Self::Creating),
        ("ready", Self::Ready),
        ("starting", Self::Starting),
        ("running", Self::Running),
        ("stopping", Self::Stopping),
        ("stopped", Self::Stopped),
        ("modifying", Self::Modifying),
        ("testing", Self::Testing),
        ("moving", Self::Moving),
        ("failed", Self::Failed),
        ("failed-move", Self::FailedMove),
        ("deleting", Self::Deleting),
    ];

    /// Whether a task in this status can be modified, and started: it stays there until somebody does something.
    pub fn rests(&self) -> bool {
        matches!(self, Self::Ready | Self::Stopped | Self::Failed | Self::FailedMove)
    }

    /// The status's name, as DMS spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown(name) => name,
            known => Self::NAMES.iter().find(|(_, status)| status == known).map_or("", |(name, _)| name),
        }
    }
}

impl From<&str> for TaskStatus {
    fn from(name: &str) -> Self {
        let known = Self::NAMES.into_iter().find(|(known, _)| *known == name);
        known.map_or_else(|| Self::Unknown(name.to_owned()), |(_, status)| status)
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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

/// A replication task at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Task {
    /// Its ARN.
    pub arn: Arn,
    /// Its identifier: the name that people know it by.
    pub name: String,
    /// Its status. It may lag what happened by 20 s and more, in both directions.
    pub status: TaskStatus,
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
    /// The position up to which it has read, in DMS's own encoding. DMS shows it while the task rests, and loses it with
    /// the task.
    pub checkpoint: Option<String>,
}
