//! What is done and what goes wrong, from a seed.

use std::fmt;
use std::time::Duration;

/// An update of the stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Of the task, in place.
    Task,
    /// Of the endpoint at the database.
    Source,
    /// Of the endpoint at the stream.
    Target,
    /// Of nothing that is DMS's.
    Nothing,
    /// Another task takes the task's place.
    ReplaceTask,
    /// Another endpoint takes an endpoint's place, and so another task the task's.
    ReplaceTarget,
    /// Of the task, which DMS refuses.
    Refused,
    /// Of the task, after which something else fails.
    FailsLater,
}

/// What goes wrong meanwhile, so many milliseconds after the update has begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The process of a handler that is at work is killed.
    KillHandler(u64),
    /// DMS refuses a part of all calls.
    Throttle,
    /// The next call of an operation fails inside of DMS.
    FailCall(&'static str),
    /// The database crashes, and comes again.
    CrashDatabase(u64),
    /// The database is restarted.
    RestartDatabase(u64),
    /// Somebody stops the task.
    OperatorStops(u64),
    /// Somebody resumes the task.
    OperatorResumes(u64),
    /// Somebody cancels the update.
    Cancel(u64),
}

/// An update, and what goes wrong in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Round {
    /// The update.
    pub operation: Operation,
    /// What goes wrong.
    pub troubles: Vec<Trouble>,
}

const OPERATIONS: [Operation; 8] = [
    Operation::Task,
    Operation::ReplaceTask,
    Operation::Refused,
    Operation::Target,
    Operation::FailsLater,
    Operation::Nothing,
    Operation::ReplaceTarget,
    Operation::Source,
];

const CALLS: [&str; 5] = [
    "DescribeReplicationTasks",
    "StopReplicationTask",
    "StartReplicationTask",
    "AddTagsToResource",
    "RemoveTagsFromResource",
];

/// A run of random numbers: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The rounds of a run. A longer run of the same seed begins like a shorter one.
pub fn rounds(seed: u64, count: usize) -> Vec<Round> {
    let mut dice = Dice(seed);
    (0..count).map(|_| round(&mut dice)).collect()
}

fn round(dice: &mut Dice) -> Round {
    let operation = OPERATIONS[dice.below(OPERATIONS.len() as u64) as usize];
    let troubles = (0..dice.below(3)).map(|_| trouble(dice)).collect();
    Round { operation, troubles }
}

fn trouble(dice: &mut Dice) -> Trouble {
    let kind = dice.below(8);
    let moment = 300 + dice.below(6_000);
    match kind {
        0 => Trouble::KillHandler(moment),
        1 => Trouble::Throttle,
        2 => Trouble::FailCall(CALLS[dice.below(CALLS.len() as u64) as usize]),
        3 => Trouble::CrashDatabase(moment),
        4 => Trouble::RestartDatabase(moment),
        5 => Trouble::OperatorStops(moment),
        6 => Trouble::OperatorResumes(moment),
        _ => Trouble::Cancel(moment),
    }
}

impl Trouble {
    /// How long after the update has begun.
    pub fn after(self) -> Duration {
        match self {
            Self::Throttle | Self::FailCall(_) => Duration::ZERO,
            Self::KillHandler(moment)
            | Self::CrashDatabase(moment)
            | Self::RestartDatabase(moment)
            | Self::OperatorStops(moment)
            | Self::OperatorResumes(moment)
            | Self::Cancel(moment) => Duration::from_millis(moment),
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = match self.operation {
            Operation::Task => "change the task",
            Operation::Source => "change the endpoint at the database",
            Operation::Target => "change the endpoint at the stream",
            Operation::Nothing => "change nothing of DMS",
            Operation::ReplaceTask => "replace the task",
            Operation::ReplaceTarget => "replace an endpoint and the task",
            Operation::Refused => "a change of the task that DMS refuses",
            Operation::FailsLater => "a change of the task, and then something fails",
        };
        write!(f, "{operation}")?;
        for trouble in &self.troubles {
            write!(f, "; {trouble}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::KillHandler(_) => "a handler is killed",
            Self::Throttle => return write!(f, "DMS throttles"),
            Self::FailCall(call) => return write!(f, "{call} fails"),
            Self::CrashDatabase(_) => "the database crashes",
            Self::RestartDatabase(_) => "the database is restarted",
            Self::OperatorStops(_) => "an operator stops the task",
            Self::OperatorResumes(_) => "an operator resumes the task",
            Self::Cancel(_) => "the update is cancelled",
        };
        write!(f, "{what} after {:.1} s", self.after().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::{OPERATIONS, rounds};

    #[test]
    fn a_seed_decides_all_of_it_and_another_one_something_else() {
        assert_eq!(rounds(7, 20), rounds(7, 20));
        assert_eq!(rounds(7, 20)[..5], rounds(7, 5));
        assert_ne!(rounds(7, 20), rounds(8, 20));
    }

    #[test]
    fn every_operation_comes_up() {
        let rounds = rounds(1, 200);
        for operation in OPERATIONS {
            assert!(rounds.iter().any(|round| round.operation == operation));
        }
    }
}
