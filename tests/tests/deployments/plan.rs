//! What is to happen: a stack, the operations on it, and everything that goes wrong in them.

use stage::aws::Trouble;

/// The life of one stack.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) nature: Nature,
    pub(crate) tasks: Vec<TaskPlan>,
    /// The stack is made without Sluice, which joins it in an update.
    pub(crate) adopts: Option<Adoption>,
    pub(crate) steps: Vec<Step>,
    /// How the stack is deleted in the end, if it is.
    pub(crate) deleted: Option<Call>,
}

/// How Sluice joins a stack that lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adoption {
    /// The handlers that it replaces stop all tasks on their way out.
    pub(crate) others_stop_tasks: bool,
}

/// What DMS is like.
#[derive(Clone, Debug)]
pub(crate) struct Nature {
    /// Seconds by which descriptions trail the truth.
    pub(crate) lag: u8,
    /// Seconds of a start and of a stop.
    pub(crate) start: u8,
    pub(crate) stop: u8,
    /// What it tells of when runs began and ended.
    pub(crate) dates: Dates,
    /// CloudFormation takes off a task's tags that aren't in the template, when it changes the task.
    pub(crate) reconciles_tags: bool,
    /// In a rollback DmsPost is given the revision that it had before.
    pub(crate) swaps_revisions: bool,
    /// The share of calls that are throttled, in percent.
    pub(crate) throttled: u8,
}

/// What DMS tells of a task's runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dates {
    /// When the last one began and ended.
    Told,
    /// The same, but a change of the task moves the end.
    Moved,
    Untold,
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
    /// None of them ever comes.
    pub(crate) events_lost: bool,
    pub(crate) late_events: Vec<(u16, Call)>,
}

impl Update {
    /// One that changes nothing, and in which nothing happens.
    pub(crate) fn calm() -> Self {
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
    /// The call, or its answer, is lost, or too late, or one too many.
    Meets(Trouble),
}
