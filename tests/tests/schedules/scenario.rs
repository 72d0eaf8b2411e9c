//! What is played.

/// One of them: an update of the stack that changes its task, and what is special about it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// How many updates come one after the other.
    pub(crate) updates: usize,
    /// The task rests when the first one begins.
    pub(crate) rests: bool,
    /// It fails once the task is changed.
    pub(crate) fails: bool,
    /// It is cancelled at some time.
    pub(crate) cancelled: bool,
    /// A request is delivered twice.
    pub(crate) pre_twice: bool,
    pub(crate) post_twice: bool,
    /// The next update begins while healing is at work.
    pub(crate) next_does_not_wait: bool,
    pub(crate) operator_stops: bool,
    pub(crate) operator_starts: bool,
    pub(crate) reconciles_tags: bool,
    pub(crate) moves_dates: bool,
}

const AN_UPDATE: Scenario = Scenario {
    name: "",
    updates: 1,
    rests: false,
    fails: false,
    cancelled: false,
    pre_twice: false,
    post_twice: false,
    next_does_not_wait: false,
    operator_stops: false,
    operator_starts: false,
    reconciles_tags: false,
    moves_dates: false,
};

pub(crate) const SCENARIOS: [Scenario; 12] = [
    Scenario { name: "an update", ..AN_UPDATE },
    Scenario { name: "an update, where tags are taken off", reconciles_tags: true, ..AN_UPDATE },
    Scenario { name: "an update that fails", fails: true, ..AN_UPDATE },
    Scenario {
        name: "an update that fails, where tags are taken off",
        fails: true,
        reconciles_tags: true,
        ..AN_UPDATE
    },
    Scenario { name: "an update that is cancelled", cancelled: true, ..AN_UPDATE },
    Scenario { name: "an update, and dms-pre is called twice", pre_twice: true, ..AN_UPDATE },
    Scenario { name: "an update, and dms-post is called twice", post_twice: true, ..AN_UPDATE },
    Scenario {
        name: "an update that fails, and another while healing works",
        updates: 2,
        fails: true,
        next_does_not_wait: true,
        ..AN_UPDATE
    },
    Scenario { name: "an update, and an operator who stops the task", operator_stops: true, ..AN_UPDATE },
    Scenario {
        name: "an update, and an operator who stops the task and starts it again",
        operator_stops: true,
        operator_starts: true,
        ..AN_UPDATE
    },
    Scenario { name: "an update of a task that rests", rests: true, moves_dates: true, ..AN_UPDATE },
    Scenario {
        name: "an update that fails of a task that rests",
        rests: true,
        fails: true,
        moves_dates: true,
        ..AN_UPDATE
    },
];
