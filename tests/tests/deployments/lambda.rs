//! The functions as Lambda runs them: delivered twice, and dead or deaf between any two calls.

use std::collections::HashMap;
use std::sync::Arc as Shared;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use replication::change::{Change, Stage};
use replication::stack::{Resource, StackStatus};
use replication::task::{Arn, Task};
use replication::tasks::{Connection, Start, TasksError};
use replication::{DmsPost, DmsPre, Stack, Tasks};
use stage::dms::Dms;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::plan::{Call, Mishap};
use crate::world::{Rights, World};

/// What a process sees of DMS or CloudFormation.
#[derive(Clone)]
pub(crate) struct Seen<T> {
    inner: T,
    process: Shared<Process>,
}

/// One invocation.
pub(crate) struct Process {
    world: World,
    call: Call,
    calls: AtomicU8,
    dead: Notify,
    rights: Mutex<Rights>,
    id: usize,
    /// Whether the stack rolled back when it was asked for.
    for_rollback: bool,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Process {
    pub(crate) fn new(world: &World, call: Call, rights: Rights) -> Shared<Self> {
        Shared::new(Self {
            world: world.clone(),
            call,
            calls: AtomicU8::new(0),
            dead: Notify::new(),
            rights: Mutex::new(rights),
            id: NUMBER.fetch_add(1, Ordering::Relaxed),
            for_rollback: world.stack.status_is("UPDATE_ROLLBACK_IN_PROGRESS"),
        })
    }

    /// The two handlers, as this process has them.
    pub(crate) fn pre(self: &Shared<Self>) -> DmsPre<Seen<stage::stack::Stack>, Seen<Dms>> {
        DmsPre::new(self.see(&self.world.stack), self.see(&self.world.dms))
    }

    pub(crate) fn post(self: &Shared<Self>) -> DmsPost<Seen<stage::stack::Stack>, Seen<Dms>> {
        DmsPost::new(self.see(&self.world.stack), self.see(&self.world.dms))
    }

    fn see<T: Clone>(self: &Shared<Self>, inner: &T) -> Seen<T> {
        Seen { inner: inner.clone(), process: Shared::clone(self) }
    }

    /// Runs a handler in this process, for 15 minutes at most. An error if it dies.
    pub(crate) async fn run<T>(&self, handler: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let _at_work = self.world.at_work(self.id);
        tokio::select! {
            biased;
            () = self.dead.notified() => {
                crate::saw("a process that died");
                // Until Lambda has noticed, and the last words have answered.
                sleep(Duration::from_secs(3)).await;
                Err(anyhow!("ended without an answer"))
            }
            done = timeout(Duration::from_secs(900), handler) => {
                done.unwrap_or_else(|_| Err(anyhow!("ran out of time")))
            }
        }
    }

    /// It looks once more before it takes marks off. Without an answer it doesn't.
    fn may_unmark(&self, is_answered: bool) {
        if !is_answered {
            self.world.does_not_unmark(self.id);
        }
    }

    /// A call to a service, and what happens to it.
    async fn call<T, E: From<anyhow::Error>>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        sleep(Duration::from_millis(u64::from(self.call.latency) * 10)).await;
        let number = self.calls.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let mishap = self.call.mishaps.iter().find(|(at, _)| *at == number);
        match mishap.map(|(_, mishap)| mishap) {
            None => call.await,
            Some(Mishap::Fails) => Err(anyhow!("connection reset").into()),
            Some(Mishap::AnswerLost) => {
                let _ = call.await;
                Err(anyhow!("connection reset, though the request was carried out").into())
            }
            Some(died) => {
                if *died == Mishap::DiesAfter {
                    let _ = call.await;
                }
                self.dead.notify_one();
                std::future::pending().await
            }
        }
    }
}

impl Stack for Seen<stage::stack::Stack> {
    async fn status(&self, stack: &str) -> anyhow::Result<(StackStatus, Option<String>)> {
        let status = self.process.call(self.inner.status(stack)).await;
        self.process.may_unmark(status.is_ok());
        let status = status?;
        if status.0.is_rolling_back() && !self.process.for_rollback {
            // It is taken for a request of the rollback, which touches more.
            *self.process.rights.lock().unwrap() = None;
        }
        Ok(status)
    }

    async fn change(&self, change_set: &str, stage: Stage) -> anyhow::Result<Change> {
        let call = self.inner.change(change_set, stage);
        let change = self.process.call(call).await?;
        if let Change::Unknown(_) = change {
            // By now it can't be told any more what changes: it may be anything.
            *self.process.rights.lock().unwrap() = None;
        }
        Ok(change)
    }

    async fn resources(&self, stack: &str) -> anyhow::Result<Vec<Resource>> {
        self.process.call(self.inner.resources(stack)).await
    }
}

impl Tasks for Seen<Dms> {
    async fn describe(&self, tasks: &[Arn]) -> Result<Vec<Task>, TasksError> {
        let found = self.process.call(self.inner.describe(tasks)).await?;
        self.process.world.has_described(self.process.id, &found);
        Ok(found)
    }

    async fn marks(&self, tasks: &[Arn]) -> Result<HashMap<Arn, String>, TasksError> {
        let marks = self.process.call(self.inner.marks(tasks)).await;
        self.process.may_unmark(marks.is_ok());
        let marks = marks?;
        self.process.world.has_read(self.process.id, marks.keys());
        Ok(marks)
    }

    async fn mark(&self, task: &Arn, request_id: &str) -> Result<(), TasksError> {
        let mark = async {
            self.inner.mark(task, request_id).await?;
            self.process.world.marked(task);
            Ok(())
        };
        self.process.call(mark).await
    }

    async fn unmark(&self, task: &Arn) -> Result<(), TasksError> {
        let unmark = async {
            self.inner.unmark(task).await?;
            self.process.world.unmarked(task);
            Ok(())
        };
        let unmarked = self.process.call(unmark).await;
        if unmarked.is_err() {
            self.process.world.not_unmarked(task);
        }
        unmarked
    }

    async fn stop(&self, task: &Arn) -> Result<(), TasksError> {
        let stop = async {
            self.inner.stop(task).await?;
            let rights = self.process.rights.lock().unwrap().clone();
            self.process.world.stopped(task, &rights);
            Ok(())
        };
        self.process.call(stop).await
    }

    async fn start(&self, task: &Arn, how: &Start) -> Result<(), TasksError> {
        let start = async {
            self.inner.start(task, how).await?;
            self.process.world.started(task, how);
            Ok(())
        };
        self.process.call(start).await
    }

    async fn test_connection(&self, endpoint: &Arn, instance: &Arn) -> Result<(), TasksError> {
        let call = self.inner.test_connection(endpoint, instance);
        self.process.call(call).await
    }

    async fn connections(&self, endpoints: &[Arn]) -> Result<Vec<Connection>, TasksError> {
        self.process.call(self.inner.connections(endpoints)).await
    }
}
