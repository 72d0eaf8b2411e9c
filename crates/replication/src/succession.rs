//! How a task begins that takes another one's place.

use std::borrow::Cow;
use std::fmt;

use crate::task::{MigrationType, Source, State, Task};

/// What is known of a task that takes another one's place: from the change set before it is made, from DMS afterwards.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Successor {
    /// What it does; none where the change set doesn't tell.
    pub migration_type: Option<MigrationType>,
    /// Whether this deployment gives it a position to begin at. One that merely stayed in the template is stale.
    pub has_position: bool,
    /// The endpoint that it reads from; none where the change set doesn't tell.
    pub source: Option<Source>,
}

/// How a task begins that takes another one's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Begin {
    /// It loads everything.
    Anew,
    /// At the position that this deployment gives it.
    AtItsOwn,
    /// Anywhere, as the other one never ran.
    First,
    /// Where the other one stopped, or will have stopped.
    AtCheckpoint(Option<String>),
    /// It can't be told yet.
    Untold,
    /// Nowhere: rows would be lost. Why, and what to do.
    Lost(Cow<'static, str>),
}

impl Successor {
    /// Whether it loads everything, as far as is known.
    pub fn loads(&self) -> bool {
        self.migration_type.as_ref().is_some_and(|it| *it != MigrationType::Cdc)
    }

    /// How it begins in the place of this task; `None` is one that DMS doesn't know any more.
    pub fn begins(&self, old: Option<&Task>) -> Begin {
        if self.migration_type.is_none() {
            return Begin::Untold;
        }
        if self.loads() {
            return Begin::Anew;
        }
        let never_ran = old.is_some_and(|old| old.state == State::Ready && old.checkpoint.is_none());
        if never_ran && !self.has_position {
            return Begin::First;
        }
        match self.source.as_ref().map(carries) {
            Some(Carries::Never) => return Begin::Lost(SLOT.into()),
            Some(Carries::Undocumented(engine)) if !self.has_position => {
                return Begin::Lost(undocumented(&engine));
            }
            _ => {}
        }
        match old {
            _ if self.has_position => Begin::AtItsOwn,
            Some(old) if old.checkpoint.is_some() => Begin::AtCheckpoint(old.checkpoint.clone()),
            Some(old) if old.migration_type == MigrationType::FullLoad => Begin::Lost(FULL_LOAD.into()),
            Some(old) if !old.state.rests() => Begin::AtCheckpoint(None),
            _ => Begin::Lost(NO_CHECKPOINT.into()),
        }
    }
}

impl fmt::Display for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anew => "the task that replaces it loads everything again",
            Self::AtItsOwn => {
                "the task that replaces it begins at the position that this deployment gives it"
            }
            Self::First => "the task that replaces it is started",
            Self::AtCheckpoint(_) => "the task that replaces it begins at its checkpoint",
            Self::Untold => "the change set does not tell what the task that replaces it does",
            Self::Lost(why) => why,
        })
    }
}

/// What one task's checkpoint is worth to another task. (DMS's user guide: "Performing replication starting from a CDC
/// start point", and `SlotName` of the API's `PostgreSQLSettings`; assumption: engine-positions)
enum Carries {
    /// The log is the database's, and any task can read it from there.
    Well,
    /// Nothing: each task has its own replication slot. A slot that was made later and is told an older position begins
    /// at its own birth, without an error. (assumption: postgresql-position-in-slot)
    Never,
    /// DMS documents no start at a position for this engine.
    Undocumented(String),
}

impl Source {
    /// Whether a task can be started at a position that it has not read up to itself.
    pub(crate) fn carries_positions(&self) -> bool {
        matches!(carries(self), Carries::Well)
    }
}

fn carries(source: &Source) -> Carries {
    match source.engine.as_str() {
        "aurora" | "aurora-serverless" | "mysql" | "mariadb" | "oracle" | "sqlserver" => Carries::Well,
        postgres if postgres.contains("postgres") => match source.slot {
            Some(_) => Carries::Well,
            None => Carries::Never,
        },
        other => Carries::Undocumented(other.to_owned()),
    }
}

const SLOT: &str = "PostgreSQL keeps the position in a replication slot, and a source endpoint without a SlotName gives each \
                    task a slot of its own: a task that replaces another would lose, without an error, what was written \
                    before its slot was made. Make a slot now, and name it in the endpoint in the same deployment \
                    (SourceSlotName of stream.yaml; docs/troubleshooting.md, A lost position)";

const FULL_LOAD: &str = "a full load keeps no position, and a task of changes that replaces it would lose what came between: \
                         give it one in the same deployment (CdcStartPosition, in stream.yaml StartPosition; \
                         docs/troubleshooting.md, A lost position)";

const NO_CHECKPOINT: &str = "the checkpoint of the replaced task can't be read, and a start from now would lose what came \
                             between: give the new task a position in the same deployment (CdcStartPosition, in stream.yaml \
                             StartPosition; docs/troubleshooting.md, A lost position)";

fn undocumented(engine: &str) -> Cow<'static, str> {
    let why = format!(
        "DMS documents no start of one task where another has stopped for a source of {engine}, so rows might be lost: keep \
         the task (what replaces it is in the change set), or let the new one load everything (MigrationType \
         full-load-and-cdc)"
    );
    why.into()
}
