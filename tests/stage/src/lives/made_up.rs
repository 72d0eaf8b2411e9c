//! Which lives there are.

use proptest::prelude::*;
use proptest::{bool, collection, option};

use crate::aws::Trouble;

use super::{
    Adoption, By, Call, Dates, Edit, Failure, Incident, Life, Mishap, Nature, Step, TaskPlan, Update, What,
};

const TROUBLES: [Trouble; 5] =
    [Trouble::Undone, Trouble::Done, Trouble::Done500, Trouble::Late, Trouble::Throttled];

/// The life of a stack.
pub fn life() -> impl Strategy<Value = Life> {
    let tasks = collection::vec(task(), 1..=4);
    let steps = collection::vec(step(), 1..=4);
    let adopts = bool::ANY.prop_map(|others_stop_tasks| Adoption { others_stop_tasks });
    (nature(), tasks, option::weighted(0.35, adopts), steps, option::weighted(0.3, call())).prop_map(
        |(nature, tasks, adopts, mut steps, deleted)| {
            // Without a change set, healing goes by marks alone.
            for step in steps.iter_mut().filter(|_| nature.reconciles_tags) {
                if let What::Update(update) = &mut step.what {
                    update.by = By::ChangeSet;
                }
            }
            // What stops in the operation that brings Sluice is told by its date.
            let adopts = adopts.filter(|_| nature.dates == Dates::Told);
            Life { nature, tasks, adopts, steps, deleted }
        },
    )
}

fn nature() -> impl Strategy<Value = Nature> {
    let lag = prop_oneof![3 => Just(0), 4 => 1..=10_u8, 2 => 11..=28_u8];
    let throttled = prop_oneof![3 => Just(0), 1 => 1..=30_u8];
    // Where a mark is lost and the dates are too, nothing is left that could tell of a pause.
    let memory = prop_oneof![
        2 => Just((Dates::Told, false)),
        2 => Just((Dates::Told, true)),
        1 => Just((Dates::Moved, false)),
        2 => Just((Dates::Untold, false)),
    ];
    (lag, 1..=60_u8, 1..=60_u8, memory, throttled, bool::ANY).prop_map(
        |(lag, start, stop, (dates, reconciles_tags), throttled, swaps_revisions)| Nature {
            lag,
            start,
            stop,
            dates,
            reconciles_tags,
            swaps_revisions,
            throttled,
        },
    )
}

fn task() -> impl Strategy<Value = TaskPlan> {
    (bool::weighted(0.3), bool::ANY, bool::weighted(0.3)).prop_map(|(loads, wiring, instance)| TaskPlan {
        loads,
        wiring,
        instance,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        5 => update().prop_map(|update| What::Update(Box::new(update))),
        2 => incident().prop_map(What::Incident),
    ];
    let then_s = prop_oneof![1 => 0..=20_u16, 2 => 20..=900_u16];
    (what, then_s).prop_map(|(what, then_s)| Step { what, then_s })
}

fn incident() -> impl Strategy<Value = Incident> {
    prop_oneof![
        4 => any::<u8>().prop_map(Incident::OperatorStops),
        2 => any::<u8>().prop_map(Incident::OperatorStarts),
        1 => any::<u8>().prop_map(Incident::Breaks),
        1 => any::<u8>().prop_map(Incident::WillFail),
        1 => any::<u8>().prop_map(Incident::OperatorDeletes),
        1 => any::<u8>().prop_map(Incident::Forgets),
    ]
}

/// An update of a stack.
pub fn update() -> impl Strategy<Value = Update> {
    let by = prop_oneof![8 => Just(By::ChangeSet), 1 => Just(By::Direct), 1 => Just(By::StaleChangeSet)];
    let failure = (any::<u8>(), bool::ANY).prop_map(|(at, done)| Failure { at, done });
    let late = collection::vec((prop_oneof![0..=60_u16, 60..=900_u16], call()), 0..=2);
    let what = (
        collection::vec(edit(), 0..=3),
        by,
        option::weighted(0.4, failure),
        option::weighted(0.15, 0..=150_u8),
    );
    let how = (bool::weighted(0.3), bool::ANY, bool::weighted(0.3), bool::ANY, bool::weighted(0.12));
    let calls = (call(), call(), call(), call(), call());
    let meanwhile = prop_oneof![
        3 => Just(Vec::new()),
        1 => collection::vec((0..=180_u8, incident()), 1..=2),
    ];
    (what, how, calls, meanwhile, late).prop_map(|(what, how, calls, meanwhile, late_events)| Update {
        edits: what.0,
        by: what.1,
        fails: what.2,
        cancelled_after_s: what.3,
        rollback_disabled: how.0,
        rolled_back_later: how.1,
        hasty: how.2,
        execution_failed: how.3,
        events_lost: how.4,
        pre: calls.0,
        post: calls.1,
        undo_pre: calls.2,
        undo_post: calls.3,
        event: calls.4,
        meanwhile,
        late_events,
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => any::<u8>().prop_map(Edit::Task),
        1 => any::<u8>().prop_map(Edit::TaskConditionally),
        1 => any::<u8>().prop_map(Edit::TaskTags),
        3 => (any::<u8>(), bool::ANY).prop_map(|(task, conditional)| Edit::Replace(task, conditional)),
        1 => any::<u8>().prop_map(Edit::Rewire),
        2 => any::<u8>().prop_map(Edit::Remove),
        2 => task().prop_map(Edit::Add),
        3 => any::<u8>().prop_map(Edit::Thing),
        1 => any::<u8>().prop_map(Edit::ThingTags),
        1 => any::<u8>().prop_map(Edit::ReplaceThing),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let mishap = prop_oneof![
        2 => Just(Mishap::DiesBefore),
        2 => Just(Mishap::DiesAfter),
        4 => any::<u8>().prop_map(|n| Mishap::Meets(TROUBLES[usize::from(n) % TROUBLES.len()])),
    ];
    let when = prop_oneof![2 => 1..=8_u8, 1 => 1..=60_u8];
    // A function that dies is not delivered twice as well: that would be two rare things at once.
    let what_goes_wrong = prop_oneof![
        6 => Just((Vec::new(), Vec::new())),
        2 => collection::vec((when, mishap), 1..=2).prop_map(|mishaps| (mishaps, Vec::new())),
        1 => collection::vec(0..=90_u8, 1..=2).prop_map(|duplicates| (Vec::new(), duplicates)),
    ];
    (0..=40_u8, what_goes_wrong).prop_map(|(latency, (mishaps, duplicates))| Call {
        latency,
        mishaps,
        duplicates,
    })
}
