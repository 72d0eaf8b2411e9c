//! What the functions for DMS are asked to do.

use std::time::{Duration, Instant};

use stage::dms::Pace;
use stage::dms::TaskStatus;
use stage::request;

use crate::scene::Scene;

/// What a Lambda function gets at most.
pub(crate) const TIME: Duration = Duration::from_secs(900);

/// What a function is asked to do, and to how many tasks.
pub(crate) struct Errand {
    pub(crate) what: &'static str,
    pub(crate) function: &'static str,
    /// Create, Update or Delete; nothing for the event that tells a stack's status.
    kind: &'static str,
    stack: &'static str,
    tasks: TaskStatus,
    is_touched: bool,
    is_marked: bool,
}

const UPDATE: Errand = Errand {
    what: "",
    function: "",
    kind: "Update",
    stack: "UPDATE_IN_PROGRESS",
    tasks: TaskStatus::Running,
    is_touched: false,
    is_marked: false,
};

const NOTHING: Errand =
    Errand { what: "dms-pre, Update, nothing of DMS changes", function: "dms-pre", ..UPDATE };
pub(crate) const PAUSE: Errand =
    Errand { what: "dms-pre, Update, all tasks change", is_touched: true, ..NOTHING };
const PRE_GOES: Errand =
    Errand { what: "dms-pre, Delete", kind: "Delete", stack: "DELETE_IN_PROGRESS", ..NOTHING };
const START: Errand = Errand {
    what: "dms-post, Create, all tasks are new",
    kind: "Create",
    stack: "CREATE_IN_PROGRESS",
    tasks: TaskStatus::Ready,
    ..ALL_RUN
};
const ALL_RUN: Errand = Errand { what: "dms-post, Update, all tasks run", function: "dms-post", ..UPDATE };
pub(crate) const RESUME: Errand = Errand {
    what: "dms-post, Update, all tasks are paused",
    tasks: TaskStatus::Stopped,
    is_touched: true,
    is_marked: true,
    ..ALL_RUN
};
const STOP: Errand = Errand {
    what: "dms-post, Delete of the stack, all tasks run",
    kind: "Delete",
    stack: "DELETE_IN_PROGRESS",
    ..ALL_RUN
};
const END: Errand = Errand {
    what: "dms-post, at the end of an update, no task is paused",
    kind: "",
    stack: "UPDATE_COMPLETE",
    ..ALL_RUN
};

/// Each of them.
pub(crate) const ALL: [Errand; 8] = [NOTHING, PAUSE, PRE_GOES, START, ALL_RUN, RESUME, STOP, END];

impl Errand {
    /// A stack of so many tasks in which there is this to do, at a DMS of this pace.
    pub(crate) async fn scene(&self, pace: Pace, tasks: usize) -> anyhow::Result<Scene> {
        let scene = Scene::new(pace, tasks, self.tasks.clone(), self.is_touched).await?;
        scene.stack.becomes(self.stack);
        if self.is_marked {
            scene.mark();
        }
        Ok(scene)
    }

    /// Has it done, and waits for the answer: how long the request took.
    pub(crate) async fn run(&self, scene: &Scene) -> anyhow::Result<Duration> {
        let function = scene.start(self.function).await?;
        function.ready().await;
        let event = match self.kind {
            "" => request::status_change(self.stack),
            kind => scene.event(kind, self.function),
        };
        let began = Instant::now();
        scene.succeed(&function, event, TIME).await?;
        let took = began.elapsed();
        function.end().await;
        Ok(took)
    }
}
