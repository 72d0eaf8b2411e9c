//! What is to happen: a stack, the operations on it, and everything that goes wrong in them. The model of deployments lives
//! through it in no time; chaos does what of it can be done to a stack in the local cloud.

use crate::aws::Trouble;

mod made_up;

pub use made_up::{life, update};

/// The life of one stack.
#[derive(Clone, Debug)]
pub struct Life {
    /// What DMS and CloudFormation are like.
    pub nature: Nature,
    /// The tasks that the stack is created with.
    pub tasks: Vec<TaskPlan>,
    /// The stack is made without Sluice, which joins it in an update.
    pub adopts: Option<Adoption>,
    /// What happens to it.
    pub steps: Vec<Step>,
    /// How the stack is deleted in the end, if it is.
    pub deleted: Option<Call>,
}

/// How Sluice joins a stack that lives.
#[derive(Clone, Copy, Debug)]
pub struct Adoption {
    /// The handlers that it replaces stop all tasks on their way out.
    pub others_stop_tasks: bool,
}

/// What DMS is like.
#[derive(Clone, Debug)]
pub struct Nature {
    /// Seconds by which descriptions trail the truth.
    pub lag: u8,
    /// Seconds of a start.
    pub start: u8,
    /// Seconds of a stop.
    pub stop: u8,
    /// What it tells of when runs began and ended.
    pub dates: Dates,
    /// CloudFormation takes off a task's tags that aren't in the template, when it changes the task.
    pub reconciles_tags: bool,
    /// In a rollback DmsPost is given the revision that it had before.
    pub swaps_revisions: bool,
    /// The share of calls that are throttled, in percent.
    pub throttled: u8,
}

/// What DMS tells of a task's runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dates {
    /// When the last one began and ended.
    Told,
    /// The same, but a change of the task moves the end.
    Moved,
    /// Nothing.
    Untold,
}

/// A task, as it joins the stack. Of endpoints and instances there are two each.
#[derive(Clone, Debug)]
pub struct TaskPlan {
    /// It loads first.
    pub loads: bool,
    /// Which endpoints it has.
    pub wiring: bool,
    /// Which instance it runs on.
    pub instance: bool,
}

/// One thing that happens to the stack, and the seconds until the next.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happens.
    pub what: What,
    /// The seconds.
    pub then_s: u16,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum What {
    /// The stack is updated.
    Update(Box<Update>),
    /// Something else.
    Incident(Incident),
}

/// What others do, or what goes wrong by itself. Numbers choose a task of the stack.
#[derive(Clone, Copy, Debug)]
pub enum Incident {
    /// Somebody stops the task.
    OperatorStops(u8),
    /// Somebody starts it.
    OperatorStarts(u8),
    /// It fails.
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
pub struct Update {
    /// What it changes.
    pub edits: Vec<Edit>,
    /// What CloudFormation knows of that.
    pub by: By,
    /// What fails it.
    pub fails: Option<Failure>,
    /// When somebody cancels it, in seconds from its beginning.
    pub cancelled_after_s: Option<u8>,
    /// A failure leaves the stack as it is: `UPDATE_FAILED`.
    pub rollback_disabled: bool,
    /// What is left so is rolled back before anything else happens.
    pub rolled_back_later: bool,
    /// CloudFormation does not wait for `modifying` to end.
    pub hasty: bool,
    /// While it is undone, the change set reads `EXECUTE_FAILED`.
    pub execution_failed: bool,
    /// How DmsPre is called.
    pub pre: Call,
    /// How DmsPost is.
    pub post: Call,
    /// How DmsPre is called in its rollback.
    pub undo_pre: Call,
    /// How DmsPost is there.
    pub undo_post: Call,
    /// Seconds from the update's beginning.
    pub meanwhile: Vec<(u8, Incident)>,
    /// One event comes at once; these come later.
    pub event: Call,
    /// None of them ever comes.
    pub events_lost: bool,
    /// Seconds after the first.
    pub late_events: Vec<(u16, Call)>,
}

impl Update {
    /// One that changes nothing, and in which nothing happens.
    pub fn calm() -> Self {
        Self {
            edits: Vec::new(),
            by: By::ChangeSet,
            fails: None,
            cancelled_after_s: None,
            rollback_disabled: false,
            rolled_back_later: false,
            hasty: false,
            execution_failed: false,
            pre: Call::default(),
            post: Call::default(),
            undo_pre: Call::default(),
            undo_post: Call::default(),
            meanwhile: Vec::new(),
            event: Call::default(),
            events_lost: false,
            late_events: Vec::new(),
        }
    }

    /// Whether nothing goes wrong.
    pub fn is_calm(&self) -> bool {
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
pub enum Edit {
    /// A task, in place.
    Task(u8),
    /// Changed in place, though the change set says `Conditional`.
    TaskConditionally(u8),
    /// Its tags alone.
    TaskTags(u8),
    /// Another task takes its place; whether the change set says `Conditional`.
    Replace(u8, bool),
    /// The same, as it gets other endpoints.
    Rewire(u8),
    /// It leaves the template.
    Remove(u8),
    /// Another one joins.
    Add(TaskPlan),
    /// An endpoint or an instance, in place.
    Thing(u8),
    /// Its tags alone.
    ThingTags(u8),
    /// Another one takes its place, and its tasks'.
    ReplaceThing(u8),
}

/// What CloudFormation knows of the change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// Its change set.
    ChangeSet,
    /// There is no change set.
    Direct,
    /// The stack still names the last one.
    StaleChangeSet,
}

/// What fails an update.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Which of its parts: the first comes before DmsPre, the last after DmsPost.
    pub at: u8,
    /// The resource has changed when it fails.
    pub done: bool,
}

/// How one call of a function goes.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Hundredths of a second that each call to DMS and CloudFormation takes.
    pub latency: u8,
    /// What happens at which of these calls.
    pub mishaps: Vec<(u8, Mishap)>,
    /// Seconds until the request is delivered again.
    pub duplicates: Vec<u8>,
}

impl Call {
    fn is_calm(&self) -> bool {
        self.mishaps.is_empty() && self.duplicates.is_empty()
    }
}

/// What happens to a call to DMS or CloudFormation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mishap {
    /// The process dies before the call.
    DiesBefore,
    /// The process dies before it hears of the call's end.
    DiesAfter,
    /// The call, or its answer, is lost, or too late, or one too many.
    Meets(Trouble),
}
