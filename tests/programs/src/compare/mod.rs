//! The same operations on a stream's stack with Sluice, without it, and with handlers as they are found on the web, while
//! one writer writes rows that all three streams have to tell of.
//!
//! # Layout
//! - `template`: the three set-ups' templates; what the handlers of the second one do is in `tests/programs/alternatives`
//! - `world`: a cloud with one of them in it, an operation there, and what came of it; `operator`: somebody who helps
//! - `rest`: how long a stream rested
//!
//! # What is measured
//! Each operation begins with a stream that runs. If none of its tasks runs any more when the operation is over, and
//! nothing moves for a while, the stream is dead until somebody notices: then the operator does what is to be done, so
//! that the next operation can be measured, too. Lost is what is in the binary log and did not come out of the stream by
//! then.

mod operator;
mod rest;
mod template;
mod world;

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;

pub use operator::Left;
pub use rest::Rest;
pub use world::DEAD;
use world::World;

use stage::cloud::stream::database;
use stage::dms::Pace;
use stage::traffic::writer::Writer;

/// How often the writer writes, and with which seed.
pub const EVERY: Duration = Duration::from_millis(80);
const SEED: u64 = 7;

/// Who looks after the task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetUp {
    /// Nobody but CloudFormation.
    Plain,
    /// Handlers that do what common snippets do: `tests/programs/alternatives`.
    Snippet,
    /// Sluice, as it ships.
    Sluice,
}

/// What is done to a stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// It is created.
    Create,
    /// The task's table mappings change.
    Task,
    /// The endpoint at the database changes.
    Endpoint,
    /// Something changes that is not DMS's.
    Nothing,
    /// Another task takes the task's place.
    Replace,
    /// The task is to change in a way that DMS refuses.
    Refused,
    /// The task changes, and meanwhile somebody cancels the update.
    Cancelled,
    /// The task changes, and its first run after that fails.
    RunFails,
}

/// All of them, in the order of the table. The last one leaves its failure behind where nobody starts the task.
pub const OPERATIONS: [Operation; 8] = [
    Operation::Create,
    Operation::Task,
    Operation::Endpoint,
    Operation::Nothing,
    Operation::Replace,
    Operation::Refused,
    Operation::Cancelled,
    Operation::RunFails,
];

/// What came of an operation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Who looked after the task.
    pub set_up: SetUp,
    /// What was done.
    pub operation: Operation,
    /// The status in which the stack ended.
    pub status: String,
    /// How long the stream rested; none if it was dead.
    pub rest: Option<Rest>,
    /// The changes that never came out of the stream.
    pub lost: usize,
    /// What was left to people.
    pub left: Vec<Left>,
}

/// How long things take.
#[derive(Clone, Debug)]
pub struct Times {
    /// In DMS.
    pub pace: Pace,
    /// Between two looks of the snippets' handlers, in seconds.
    pub poll: u32,
}

impl Times {
    /// Nearer to the service's than other rehearsals. A stop is seen after 15 s and a test of a connection after five, so
    /// that a look every ten seconds wastes five, which is what it wastes on an average.
    pub fn longer() -> Self {
        let pace = Pace {
            create: Duration::from_secs(4),
            start: Duration::from_secs(10),
            stop: Duration::from_secs(13),
            modify: Duration::from_secs(4),
            delete: Duration::from_secs(2),
            connection_test: Duration::from_secs(3),
            lag: Duration::from_secs(2),
            ..Pace::default()
        };
        Self { pace, poll: 10 }
    }

    /// As short as will do, where it is not about time.
    pub fn brief() -> Self {
        Self { pace: Pace::brisk(), poll: 1 }
    }
}

/// Plays the operations in these set-ups, side by side: each in a cloud of its own, on one database. What happens goes
/// to `tell`. The outcomes, operation by operation.
///
/// # Errors
/// If something can't be done or measured. That rows are lost is no error.
pub async fn compare(
    set_ups: &[SetUp],
    operations: &[Operation],
    times: &Times,
    tell: &dyn Fn(SetUp, String),
) -> anyhow::Result<Vec<Outcome>> {
    let server = database().await?;
    let writer = Writer::start(server.opts(), EVERY, SEED);
    let plays = set_ups.iter().map(async |set_up| {
        let mut world = World::new(*set_up, times, &server, &writer, tell).await?;
        let mut outcomes = Vec::new();
        for operation in operations {
            let played = world.play(*operation).await;
            outcomes.push(played.with_context(|| operation.to_string())?);
        }
        world.adds_up().await?;
        anyhow::Ok(outcomes)
    });
    let plays = plays.zip(set_ups).map(async |(play, set_up)| {
        let outcomes = play.await;
        outcomes.with_context(|| set_up.to_string())
    });
    let played = try_join_all(plays).await?;
    let in_turn = (0..operations.len()).flat_map(|at| played.iter().map(move |it| it[at].clone()));
    Ok(in_turn.collect())
}

impl Operation {
    /// Whether the stack ends as its owner wishes if the update succeeds.
    pub fn is_to_succeed(self) -> bool {
        !matches!(self, Self::Refused | Self::Cancelled)
    }
}

impl fmt::Display for SetUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Snippet => "snippet",
            Self::Sluice => "Sluice",
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create the stack",
            Self::Task => "change the task",
            Self::Endpoint => "change the endpoint at the database",
            Self::Nothing => "change nothing of DMS",
            Self::Replace => "replace the task",
            Self::Refused => "a change of the task that DMS refuses",
            Self::Cancelled => "a change of the task, cancelled",
            Self::RunFails => "change the task, whose next run then fails",
        })
    }
}
