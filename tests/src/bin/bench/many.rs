//! Calls, delays, and stacks of many tasks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use replication::task::TaskStatus;
use stage::dms::{Pace, Throttle};

use crate::figures::Samples;
use crate::scene::Scene;

/// What a Lambda function gets at most.
const TIME: Duration = Duration::from_secs(900);
/// DMS's documented bucket: so many calls, and so many more each second.
const BUCKET: f64 = 200.0;
const RATE: f64 = 8.0;
/// Seconds that a task takes to start or to stop.
const TRANSITION: f64 = 5.0;

/// What a function is asked to do, and to how many tasks.
pub(crate) struct Errand {
    pub(crate) what: &'static str,
    function: &'static str,
    status: TaskStatus,
    is_touched: bool,
    is_marked: bool,
}

const NOTHING: Errand = Errand {
    what: "dms-pre, nothing of DMS changes",
    function: "dms-pre",
    status: TaskStatus::Running,
    is_touched: false,
    is_marked: false,
};
const PAUSE: Errand = Errand {
    what: "dms-pre, all tasks change",
    function: "dms-pre",
    status: TaskStatus::Running,
    is_touched: true,
    is_marked: false,
};
const ALL_RUN: Errand = Errand {
    what: "dms-post, all tasks run",
    function: "dms-post",
    status: TaskStatus::Running,
    is_touched: false,
    is_marked: false,
};
const RESUME: Errand = Errand {
    what: "dms-post, all tasks are paused",
    function: "dms-post",
    status: TaskStatus::Stopped,
    is_touched: true,
    is_marked: true,
};

impl Errand {
    async fn scene(&self, pace: Pace, tasks: usize) -> anyhow::Result<Scene> {
        let scene = Scene::new(pace, tasks, self.status.clone(), self.is_touched).await?;
        if self.is_marked {
            scene.mark().await?;
        }
        Ok(scene)
    }

    /// The least number of seconds: each task takes two calls. The marks come off while the last tasks start, but the last
    /// stop is the last call.
    fn bound(&self, tasks: usize) -> f64 {
        let calls = ((tasks * 2) as f64 - BUCKET).max(0.0) / RATE;
        match self.is_marked {
            true => calls.max(TRANSITION),
            false => calls + TRANSITION,
        }
    }

    /// Has it done, and waits for the answer: how long the request took.
    async fn run(&self, scene: &Scene) -> anyhow::Result<Duration> {
        let function = scene.start(self.function).await?;
        function.ready().await;
        let event = scene.event("Update", self.function);
        let began = Instant::now();
        scene.succeed(&function, event, TIME).await?;
        let took = began.elapsed();
        function.end().await;
        Ok(took)
    }
}

/// Calls of one errand for so many tasks, by operation.
pub(crate) struct Calls {
    pub(crate) what: &'static str,
    pub(crate) tasks: usize,
    pub(crate) calls: BTreeMap<String, usize>,
}

/// Counts the calls of each errand, where DMS does everything at once.
pub(crate) async fn calls() -> anyhow::Result<Vec<Calls>> {
    let mut all = Vec::new();
    for errand in [NOTHING, PAUSE, ALL_RUN, RESUME] {
        for tasks in [1, 10] {
            let scene = errand.scene(Pace::immediate(), tasks).await?;
            let before = scene.dms.all_calls();
            errand.run(&scene).await?;
            let mut calls = scene.stack.calls();
            for (operation, count) in scene.dms.all_calls() {
                let count = count - before.get(&operation).copied().unwrap_or_default();
                if count > 0 {
                    calls.insert(operation, count);
                }
            }
            all.push(Calls {
                what: errand.what,
                tasks,
                calls,
            });
        }
    }
    Ok(all)
}

/// Seconds between a change of status at DMS and the end of the invocation that waited for it.
pub(crate) struct Delay {
    pub(crate) what: &'static str,
    pub(crate) seconds: Samples,
}

/// Lets DMS take between two and three seconds, so that the change comes at any moment of the second between two polls.
pub(crate) async fn delays() -> anyhow::Result<Vec<Delay>> {
    const AT_ONCE: u64 = 5;
    const TIMES: u64 = 8;
    let mut all = Vec::new();
    for errand in [PAUSE, RESUME] {
        let mut seconds = Samples::default();
        for time in 0..TIMES {
            let one = |number: u64| {
                let change = 2_000 + (number * TIMES + time) * 1_000 / (AT_ONCE * TIMES);
                delay(&errand, Duration::from_millis(change))
            };
            for delay in try_join_all((0..AT_ONCE).map(one)).await? {
                seconds.add(delay.as_secs_f64());
            }
        }
        let what = errand.what;
        all.push(Delay { what, seconds });
    }
    Ok(all)
}

async fn delay(errand: &Errand, change: Duration) -> anyhow::Result<Duration> {
    let pace = Pace {
        start: change,
        stop: change,
        ..Pace::immediate()
    };
    let scene = errand.scene(pace, 1).await?;
    errand.run(&scene).await?;
    let now = scene.dms.time();
    let statuses = scene.dms.statuses(&scene.tasks[0]);
    let (changed, _) = statuses.last().expect("the task has a status");
    Ok(now.saturating_sub(*changed))
}

/// A stack of many tasks at DMS's rate.
pub(crate) struct Many {
    pub(crate) what: &'static str,
    pub(crate) tasks: usize,
    /// Seconds.
    pub(crate) took: f64,
    /// The least number of seconds.
    pub(crate) bound: f64,
    pub(crate) calls: usize,
}

/// Pauses and resumes stacks of more and more tasks.
pub(crate) async fn stacks() -> anyhow::Result<Vec<Many>> {
    let sizes = [1, 10, 100, 450];
    let [pause, resume] = [PAUSE, RESUME];
    let runs = sizes
        .into_iter()
        .flat_map(|tasks| [many(&pause, tasks), many(&resume, tasks)]);
    let mut all = try_join_all(runs).await?;
    all.sort_by_key(|many| many.what);
    Ok(all)
}

async fn many(errand: &Errand, tasks: usize) -> anyhow::Result<Many> {
    let pace = Pace {
        start: Duration::from_secs_f64(TRANSITION),
        stop: Duration::from_secs_f64(TRANSITION),
        ..Pace::immediate()
    };
    let scene = errand.scene(pace, tasks).await?;
    scene.dms.throttles(Throttle::documented(0.0));
    let before: usize = scene.dms.all_calls().values().sum();
    let took = errand.run(&scene).await?.as_secs_f64();
    let calls: usize = scene.dms.all_calls().values().sum();
    Ok(Many {
        what: errand.what,
        tasks,
        took,
        bound: errand.bound(tasks),
        calls: calls - before,
    })
}
