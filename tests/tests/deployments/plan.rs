//! What is to happen: a stack, the operations on it, and everything that goes wrong in them.

use proptest::prelude::*;
use proptest::{bool, collection, option};

/// The life of one stack.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) nature: Nature,
    pub(crate) tasks: Vec<TaskPlan>,
    pub(crate) steps: Vec<Step>,
    /// How the stack is deleted in the end, if it is.
    pub(crate) deleted: Option<Call>,
}

/// What DMS is like.
#[derive(Clone, Debug)]
pub(crate) struct Nature {
    /// Seconds by which descriptions trail the truth.
    pub(crate) lag: u8,
    /// Seconds of a start and of a stop.
    pub(crate) start: u8,
    pub(crate) stop: u8,
    /// It tells when runs began and ended.
    pub(crate) tells_dates: bool,
    /// The share of calls that are throttled, in percent.
    pub(crate) throttled: u8,
}

/// A task, as it joins the stack. Of endpoints and instances there are two each.
#[derive(Clone, Debug)]
pub(crate) struct TaskPlan {
    pub(crate) loads: bool,
    pub(crate) wiring: bool,
    pub(crate) instance: bool,
}

/// One thing that happens to the stack, and the seconds until the next.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) what: What,
    pub(crate) then_s: u16,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Update(Box<Update>),
    Incident(Incident),
}

/// What others do, or what goes wrong by itself. Numbers choose a task of the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incident {
    OperatorStops(u8),
    OperatorStarts(u8),
    Breaks(u8),
    /// The task's next start fails.
    WillFail(u8),
    /// The task is gone from DMS, if it rests; the stack doesn't know.
    OperatorDeletes(u8),
    /// DMS forgets a successful connection test.
    Forgets(u8),
}

/// An update of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) edits: Vec<Edit>,
    pub(crate) by: By,
    pub(crate) fails: Option<Failure>,
    pub(crate) cancelled_after_s: Option<u8>,
    /// A failure leaves the stack as it is: `UPDATE_FAILED`.
    pub(crate) rollback_disabled: bool,
    /// What is left so is rolled back before anything else happens.
    pub(crate) rolled_back_later: bool,
    /// CloudFormation does not wait for `modifying` to end.
    pub(crate) hasty: bool,
    /// While it is undone, the change set reads `EXECUTE_FAILED`.
    pub(crate) execution_failed: bool,
    pub(crate) pre: Call,
    pub(crate) post: Call,
    pub(crate) undo_pre: Call,
    pub(crate) undo_post: Call,
    /// Seconds from the update's beginning.
    pub(crate) meanwhile: Vec<(u8, Incident)>,
    /// One event comes at once; these come later.
    pub(crate) event: Call,
    pub(crate) late_events: Vec<(u16, Call)>,
}

impl Update {
    /// Whether nothing goes wrong.
    pub(crate) fn is_calm(&self) -> bool {
        self.by == By::ChangeSet
            && self.fails.is_none()
            && self.cancelled_after_s.is_none()
            && self.meanwhile.is_empty()
            && self.pre.is_calm()
            && self.post.is_calm()
    }
}

/// What an update changes. Numbers choose a task, or an endpoint or instance.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Task(u8),
    /// Changed in place, though the change set says `Conditional`.
    TaskConditionally(u8),
    TaskTags(u8),
    /// Whether the change set says `Conditional`.
    Replace(u8, bool),
    Rewire(u8),
    Remove(u8),
    Add(TaskPlan),
    Thing(u8),
    ThingTags(u8),
    ReplaceThing(u8),
}

/// What CloudFormation knows of the change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    ChangeSet,
    /// There is no change set.
    Direct,
    /// The stack still names the last one.
    StaleChangeSet,
}

/// What fails an update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    /// Which of its parts: the first comes before DmsPre, the last after DmsPost.
    pub(crate) at: u8,
    /// The resource has changed when it fails.
    pub(crate) done: bool,
}

/// How one call of a function goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// Hundredths of a second that each call to DMS and CloudFormation takes.
    pub(crate) latency: u8,
    /// What happens at which of these calls.
    pub(crate) mishaps: Vec<(u8, Mishap)>,
    /// Seconds until the request is delivered again.
    pub(crate) duplicates: Vec<u8>,
}

impl Call {
    fn is_calm(&self) -> bool {
        self.mishaps.is_empty() && self.duplicates.is_empty()
    }
}

/// What happens to a call to DMS or CloudFormation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mishap {
    /// The process dies before the call.
    DiesBefore,
    /// The process dies before it hears of the call's end.
    DiesAfter,
    /// The call fails.
    Fails,
    /// The call is carried out, and its answer is lost.
    AnswerLost,
}

pub(crate) fn life() -> impl Strategy<Value = Life> {
    let tasks = collection::vec(task(), 1..=4);
    let steps = collection::vec(step(), 1..=4);
    (nature(), tasks, steps, option::weighted(0.3, call())).prop_map(|(nature, tasks, steps, deleted)| Life {
        nature,
        tasks,
        steps,
        deleted,
    })
}

fn nature() -> impl Strategy<Value = Nature> {
    let lag = prop_oneof![3 => Just(0), 4 => 1..=10_u8, 2 => 11..=28_u8];
    let throttled = prop_oneof![3 => Just(0), 1 => 1..=30_u8];
    (lag, 1..=60_u8, 1..=60_u8, bool::ANY, throttled).prop_map(|(lag, start, stop, dates, throttled)| {
        Nature { lag, start, stop, tells_dates: dates, throttled }
    })
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

fn update() -> impl Strategy<Value = Update> {
    let by = prop_oneof![8 => Just(By::ChangeSet), 1 => Just(By::Direct), 1 => Just(By::StaleChangeSet)];
    let failure = (any::<u8>(), bool::ANY).prop_map(|(at, done)| Failure { at, done });
    let late = collection::vec((prop_oneof![0..=60_u16, 60..=900_u16], call()), 0..=2);
    let what = (
        collection::vec(edit(), 0..=3),
        by,
        option::weighted(0.4, failure),
        option::weighted(0.15, 0..=150_u8),
    );
    let how = (bool::weighted(0.3), bool::ANY, bool::weighted(0.3), bool::ANY);
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
        1 => Just(Mishap::Fails),
        1 => Just(Mishap::AnswerLost),
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
