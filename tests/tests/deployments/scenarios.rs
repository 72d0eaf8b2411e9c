//! What is played by schedules: updates that change the one task of a stack, and what is special about each.

use stage::lives::{Call, Dates, Edit, Failure, Incident, Life, Nature, Step, TaskPlan, Update, What};

const TASK: u8 = 0;

/// Their names, and the lives.
pub(crate) fn scenarios() -> Vec<(&'static str, Life)> {
    // Whatever happened, the event comes once more when all that was late has come: a mark, for one, that a request put on
    // after CloudFormation had given up on it.
    let again = || vec![(240, Call::default())];
    let plain = || Update { edits: vec![Edit::Task(TASK)], late_events: again(), ..Update::calm() };
    let fails = || Update { fails: Some(Failure { at: 1, done: true }), ..plain() };
    let twice = || Call { duplicates: vec![0], ..Call::default() };
    let told = (Dates::Told, false);
    let (moved, reconciled) = ((Dates::Moved, false), (Dates::Told, true));
    let rests = || after(60, What::Incident(Incident::OperatorStops(TASK)));
    let stops = (1, Incident::OperatorStops(TASK));
    let starts = (1, Incident::OperatorStarts(TASK));
    let meanwhile = |incidents: &[_]| Update { meanwhile: incidents.to_vec(), ..plain() };
    vec![
        ("an update", life(told, [update(plain())])),
        ("an update, where tags are taken off", life(reconciled, [update(plain())])),
        ("an update that fails", life(told, [update(fails())])),
        ("an update that fails, where tags are taken off", life(reconciled, [update(fails())])),
        (
            "an update that is cancelled",
            life(told, [update(Update { cancelled_after_s: Some(0), ..plain() })]),
        ),
        ("an update, and dms-pre is called twice", life(told, [update(Update { pre: twice(), ..plain() })])),
        (
            "an update, and dms-post is called twice",
            life(told, [update(Update { post: twice(), ..plain() })]),
        ),
        (
            "an update that fails, and another while healing works",
            life(told, [after(1, What::Update(Box::new(fails()))), update(fails())]),
        ),
        ("an update, and an operator who stops the task", life(told, [update(meanwhile(&[stops]))])),
        (
            "an update, and an operator who stops the task and starts it again",
            life(told, [update(meanwhile(&[stops, starts]))]),
        ),
        ("an update of a task that rests", life(moved, [rests(), update(plain())])),
        ("an update that fails of a task that rests", life(moved, [rests(), update(fails())])),
    ]
}

fn life<const N: usize>((dates, reconciles_tags): (Dates, bool), steps: [Step; N]) -> Life {
    let nature =
        Nature { lag: 2, start: 3, stop: 2, dates, reconciles_tags, swaps_revisions: false, throttled: 0 };
    let task = TaskPlan { loads: false, wiring: false, instance: false };
    Life { nature, tasks: vec![task], adopts: None, steps: steps.into(), deleted: None }
}

fn update(update: Update) -> Step {
    after(60, What::Update(Box::new(update)))
}

fn after(then_s: u16, what: What) -> Step {
    Step { what, then_s }
}
