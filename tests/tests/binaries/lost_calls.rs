//! Each call that dms-pre and dms-post make is lost once, in every way it can be, and no stream dies of it. Which calls
//! there are is found by playing without trouble.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures::future::join_all;
use futures::stream::{StreamExt, iter};
use stage::aws::Trouble;

#[path = "lost_calls/play.rs"]
mod play;
#[path = "lost_calls/world.rs"]
mod world;

use play::Play;

/// How many cases are played at the same time: most of them wait for a second to pass.
const AT_ONCE: usize = 40;

/// How often a play is played without trouble. How often a handler reads hangs on the machine's speed, too: the least is
/// what it always reads.
const REHEARSALS: usize = 3;

/// How often each operation is called in a step.
type Calls = BTreeMap<String, usize>;

/// A request or an event on which a handler works.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Pause,
    Run,
    PauseInRollback,
    Heal,
    Delete,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "dms-pre, Update",
            Self::Run => "dms-post, Update",
            Self::PauseInRollback => "dms-pre, Update in a rollback",
            Self::Heal => "dms-post, healing",
            Self::Delete => "dms-post, Delete",
        })
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// Its answer comes too late, or never, or says nothing.
    Lost(Trouble),
    /// DMS refuses it for good, so that the handler answers FAILED.
    Refused,
}

/// What happens to one of the calls of an operation that a step makes: the one of this number, from 1.
#[derive(Clone, Debug)]
struct Hitch {
    step: Step,
    operation: String,
    number: usize,
    fate: Fate,
}

#[derive(Clone, Debug)]
struct Case {
    play: Play,
    hitch: Hitch,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { play, hitch: Hitch { step, operation, number, fate } } = self;
        write!(f, "{play:?}: {step}: {operation} {number}: {fate:?}")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_call_is_lost_what_ran_runs_and_what_an_operator_stopped_rests() {
    let mut cases = Vec::new();
    let rehearsals = Play::ALL.map(|play| async move { (play, rehearse(play).await) });
    for (play, calls) in join_all(rehearsals).await {
        // So that none becomes a play in which little happens.
        assert_eq!(changes_in(&calls), play.changes(), "{play:?}");
        cases.extend(calls.iter().flat_map(|(step, calls)| hitches(play, *step, calls)));
    }
    // Those that take longest come first.
    cases.sort_by_key(|case| match case.hitch.fate {
        Fate::Refused => 0,
        Fate::Lost(Trouble::Late) => 1,
        Fate::Lost(_) => 2,
    });
    let total = cases.len();
    let playing = iter(cases).map(|case| async move {
        let played = tokio::spawn(case.play.with(Some(case.hitch.clone()))).await;
        let problems = played.map_or_else(|ended| Some(ended.to_string()), |world| world.problems());
        problems.map(|problems| format!("{case}\n{problems}"))
    });
    let played: Vec<Option<String>> = playing.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<String> = played.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} of {total} cases failed:\n{}", failed.len(), failed.join("\n"));
}

/// Plays without trouble. The calls that each step makes at least.
async fn rehearse(play: Play) -> BTreeMap<Step, Calls> {
    let rehearsals = (0..REHEARSALS).map(|_| tokio::spawn(play.with(None)));
    let mut all = Vec::new();
    for world in join_all(rehearsals).await {
        let world = world.unwrap();
        assert_eq!((world.problems(), &world.failed), (None, &None), "{play:?} without trouble");
        all.push(world.calls);
    }
    let mut least = all.pop().unwrap();
    for other in all {
        for (step, calls) in &mut least {
            calls.retain(|operation, count| {
                *count = (*count).min(other[step].get(operation).copied().unwrap_or_default());
                *count > 0
            });
        }
    }
    least
}

fn changes(operation: &str) -> bool {
    !["Describe", "List"].iter().any(|reads| operation.starts_with(reads))
}

/// How often each step changes something.
fn changes_in(calls: &BTreeMap<Step, Calls>) -> BTreeSet<(Step, &str, usize)> {
    let calls =
        calls.iter().flat_map(|(step, calls)| calls.iter().map(|(name, n)| (*step, name.as_str(), *n)));
    calls.filter(|(_, name, _)| changes(name)).collect()
}

/// All that can happen to the calls of a step.
fn hitches(play: Play, step: Step, calls: &Calls) -> Vec<Case> {
    let mut cases = Vec::new();
    if !play.hitches_in(step) {
        return cases;
    }
    for (operation, count) in calls {
        let mut fates = match changes(operation) {
            true => Trouble::UNSURE.map(Fate::Lost).to_vec(),
            // The SDK tries again.
            false => [Trouble::Undone, Trouble::Done500].map(Fate::Lost).to_vec(),
        };
        // After a request that failed there is healing, and after healing nothing.
        if changes(operation) && matches!(step, Step::Pause | Step::Run) {
            fates.push(Fate::Refused);
        }
        for number in 1..=*count {
            cases.extend(fates.iter().map(|fate| {
                let hitch = Hitch { step, operation: operation.clone(), number, fate: *fate };
                Case { play, hitch }
            }));
        }
    }
    cases
}
