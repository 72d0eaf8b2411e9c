//! What is done in a run, and what goes wrong in it: the updates of [`lives`], as far as they can be carried
//! out on a stream's stack in the local cloud. A seed decides all of it.

use std::fmt;
use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use stage::aws;
use stage::lives::{self, Call, Edit, Incident, Mishap, Update};

/// What is done to the stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// The task changes.
    Task,
    /// The endpoint at the database changes.
    Source,
    /// The endpoint at the stream changes.
    Target,
    /// Something changes that is not DMS's.
    Nothing,
    /// Another task takes the task's place.
    ReplaceTask,
    /// Another endpoint takes an endpoint's place, and the task's another task.
    ReplaceTarget,
    /// The task is to change in a way that DMS refuses.
    Refused,
    /// The task changes, and then something else fails.
    FailsLater,
}

/// What goes wrong. A number is of milliseconds from the update's beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The handler that is at work is killed.
    KillHandler(u64),
    /// DMS throttles.
    Throttle,
    /// The next call of an operation fails.
    FailCall(&'static str),
    /// The database is killed, and comes up again.
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

/// One operation, and what goes wrong in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Round {
    /// What is done.
    pub operation: Operation,
    /// What goes wrong.
    pub troubles: Vec<Trouble>,
}

const CALLS: [&str; 5] = [
    "DescribeReplicationTasks",
    "StopReplicationTask",
    "StartReplicationTask",
    "AddTagsToResource",
    "RemoveTagsFromResource",
];

/// The rounds of a run. A longer run of the same seed begins like a shorter one.
pub fn rounds(seed: u64, count: usize) -> Vec<Round> {
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let mut next = || lives::update().new_tree(&mut runner).expect("a strategy without a filter has a value");
    (0..count).map(|_| Round::of(&next().current())).collect()
}

impl Round {
    fn of(update: &Update) -> Self {
        let operation = match (&update.fails, update.edits.first()) {
            (Some(failure), _) if failure.done => Operation::FailsLater,
            (Some(_), _) => Operation::Refused,
            (None, Some(Edit::Task(_) | Edit::TaskConditionally(_) | Edit::TaskTags(_))) => Operation::Task,
            (None, Some(Edit::Thing(which) | Edit::ThingTags(which))) => match which % 2 {
                0 => Operation::Source,
                _ => Operation::Target,
            },
            (None, Some(Edit::Replace(..) | Edit::Remove(_))) => Operation::ReplaceTask,
            (None, Some(Edit::Rewire(_) | Edit::ReplaceThing(_))) => Operation::ReplaceTarget,
            (None, Some(Edit::Add(_)) | None) => Operation::Nothing,
        };
        // A minute of the model is a second or two here.
        let millis = |seconds: u8| 300 + u64::from(seconds) * 35;
        let cancelled = update.cancelled_after_s.map(|after| Trouble::Cancel(millis(after)));
        let incidents = update.meanwhile.iter().map(|(after, incident)| {
            let at = millis(*after);
            match incident {
                Incident::OperatorStops(_) => Trouble::OperatorStops(at),
                Incident::OperatorStarts(_) => Trouble::OperatorResumes(at),
                Incident::Breaks(_) | Incident::WillFail(_) => Trouble::CrashDatabase(at),
                Incident::OperatorDeletes(_) | Incident::Forgets(_) => Trouble::RestartDatabase(at),
            }
        });
        let calls = [&update.pre, &update.post, &update.undo_pre, &update.undo_post];
        let mishaps = calls.into_iter().flat_map(|Call { mishaps, .. }| mishaps);
        let mishaps = mishaps.map(|(number, mishap)| match mishap {
            Mishap::DiesBefore | Mishap::DiesAfter => Trouble::KillHandler(300 + u64::from(*number) * 90),
            Mishap::Meets(aws::Trouble::Throttled) => Trouble::Throttle,
            Mishap::Meets(_) => Trouble::FailCall(CALLS[usize::from(*number) % CALLS.len()]),
        });
        Self { operation, troubles: cancelled.into_iter().chain(incidents).chain(mishaps).collect() }
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
    use super::{Operation, Trouble, rounds};

    #[test]
    fn a_seed_decides_all_of_it_and_another_one_something_else() {
        assert_eq!(rounds(7, 20), rounds(7, 20));
        assert_eq!(rounds(7, 20)[..5], rounds(7, 5));
        assert_ne!(rounds(7, 20), rounds(8, 20));
    }

    #[test]
    fn every_operation_and_every_trouble_comes_up() {
        let rounds = rounds(1, 400);
        for operation in [
            Operation::Task,
            Operation::Source,
            Operation::Target,
            Operation::Nothing,
            Operation::ReplaceTask,
            Operation::ReplaceTarget,
            Operation::Refused,
            Operation::FailsLater,
        ] {
            assert!(rounds.iter().any(|round| round.operation == operation), "{operation:?}");
        }
        let troubles: Vec<&Trouble> = rounds.iter().flat_map(|round| &round.troubles).collect();
        let kinds: std::collections::BTreeSet<_> =
            troubles.iter().map(|it| format!("{it:?}").split('(').next().map(str::to_owned)).collect();
        assert_eq!(kinds.len(), 8, "{kinds:?}");
    }
}
