//! What tasks are named by, and the statuses that they have.

use std::fmt;

/// The Amazon Resource Name of a resource of DMS.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Arn(String);

impl Arn {
    /// Takes an ARN's text.
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
