//! Random operations on a stream's stack, and random trouble, while rows are written: none of them may get lost.
//!
//! # Layout
//! - `plan`: what is done and what goes wrong, from a seed; `change`: what that is in the template
//! - `world`: the database, the stack, the writer and the subscriber; `trouble`: what goes wrong in it
//!
//! # What is demanded
//! After each round, that the task runs (if nothing but the stack's own events say that something failed, and why,
//! somebody may have to resume it), and that all that was written has come out of the stream. At the end, the count.

mod change;
mod plan;
mod trouble;
mod world;

use std::time::Duration;

use anyhow::Context;

pub(crate) use change::changed;
pub use plan::{Operation, Round, Trouble, rounds};
pub use world::Line;
use world::World;

use stage::traffic::count::Count;

/// How a run is to be.
#[derive(Clone, Copy, Debug)]
pub struct Chaos {
    /// What it does follows from this.
    pub seed: u64,
    /// How many operations it does.
    pub rounds: usize,
}

/// A round that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What was done.
    pub round: Round,
    /// The status in which the stack ended.
    pub status: String,
    /// Why something failed, as the stack's events say it.
    pub failures: Vec<String>,
    /// Whether somebody had to resume the task.
    pub needed_help: bool,
    /// How long it took.
    pub took: Duration,
}

/// A run that is over, and came out well.
#[derive(Clone, Debug)]
pub struct Survived {
    /// What was done, and what came of it.
    pub rounds: Vec<Ended>,
    /// What became of the rows.
    pub count: Count,
}

/// Performs a run. What happens goes to `tell`.
///
/// # Errors
/// If a row is lost, or the stream rests and nothing says why. The error names the seed.
pub async fn perform(chaos: Chaos, tell: &mut dyn FnMut(Line)) -> anyhow::Result<Survived> {
    let what = format!("make chaos SEED={} ROUNDS={}", chaos.seed, chaos.rounds);
    play(chaos, tell).await.context(what)
}

async fn play(chaos: Chaos, tell: &mut dyn FnMut(Line)) -> anyhow::Result<Survived> {
    let mut world = World::new(chaos.seed, tell).await?;
    let survived = play_in(&mut world, chaos, tell).await;
    tell(Line::Film(world.film()));
    survived
}

async fn play_in(world: &mut World, chaos: Chaos, tell: &mut dyn FnMut(Line)) -> anyhow::Result<Survived> {
    let mut ended = Vec::new();
    for (number, round) in rounds(chaos.seed, chaos.rounds).into_iter().enumerate() {
        tell(Line::Round(number + 1, round.clone()));
        let played = world.play(&round, tell).await;
        ended.push(played.with_context(|| format!("round {}, {round}", number + 1))?);
    }
    Ok(Survived { rounds: ended, count: world.count().await? })
}
