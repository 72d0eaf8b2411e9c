//! The functions as Lambda runs them: delivered twice, and dead or deaf at any call.

use std::sync::Arc as Shared;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use futures::future::BoxFuture;
use replication::{DmsPost, DmsPre};
use serde_json::Value;
use stage::aws::{Answer, Aws, Call as AwsCall, Deliver, Way};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::functions::Ask;
use crate::gate::HANDLERS;
use crate::world::{Rights, World};
use stage::lives::{Call, Mishap};

/// One invocation.
pub(crate) struct Process {
    world: World,
    call: Call,
    calls: AtomicU8,
    dead: Notify,
    /// What the last poll brought.
    polled: Mutex<Value>,
    pub(crate) ask: Ask,
    pub(crate) rights: Mutex<Rights>,
    pub(crate) id: usize,
    /// Whether the stack rolled back when it was asked for.
    pub(crate) for_rollback: bool,
}

impl Process {
    pub(crate) fn new(world: &World, ask: Ask, call: Call, rights: Rights) -> Shared<Self> {
        let id = {
            let mut state = world.state();
            state.processes += 1;
            state.processes
        };
        Shared::new(Self {
            world: world.clone(),
            call,
            calls: AtomicU8::new(0),
            dead: Notify::new(),
            polled: Mutex::default(),
            ask,
            rights: Mutex::new(rights),
            id,
            for_rollback: world.rolls_back(),
        })
    }

    /// The two handlers, as this process has them.
    pub(crate) fn pre(self: &Shared<Self>) -> DmsPre {
        DmsPre::new(&plays::config(&self.aws()))
    }

    pub(crate) fn post(self: &Shared<Self>) -> DmsPost {
        DmsPost::new(&plays::config(&self.aws()))
    }

    fn aws(self: &Shared<Self>) -> Aws {
        Aws::behind(&self.world.dms, &self.world.stack, Line(Shared::clone(self)))
    }

    /// Runs a handler in this process, for 15 minutes at most. An error if it dies.
    pub(crate) async fn run<T>(&self, handler: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let _at_work = self.world.at_work(self.id);
        let done = tokio::select! {
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
        };
        self.world.gate.hears(HANDLERS + self.id, self.world.dms.time());
        self.world.gate.arrives();
        done
    }

    /// What happens to this call.
    async fn mishap(&self, call: &AwsCall) -> Option<Mishap> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let planned = self.call.mishaps.iter().find(|(at, _)| *at == number);
        match planned {
            Some((_, mishap)) => Some(*mishap),
            None => {
                let what = format!("{:?} {}", self.ask, call.operation);
                self.world.gate.leave(HANDLERS + self.id, what).await
            }
        }
    }

    /// Whether this is a poll that brings what the last one brought. It needs no leave.
    fn is_nothing_new(&self, call: &AwsCall) -> bool {
        if !self.world.gate.is_closed() || call.operation != "DescribeReplicationTasks" {
            return false;
        }
        let asked = serde_json::from_slice(&call.body).unwrap_or_default();
        let mut now = self.world.dms.call(&call.operation, &asked).unwrap_or_default();
        // It counts the time, which no decision looks at.
        if let Some(stats) = now.pointer_mut("/ReplicationTasks/0/ReplicationTaskStats/ElapsedTimeMillis") {
            *stats = Value::Null;
        }
        let before = std::mem::replace(&mut *self.polled.lock().unwrap(), now.clone());
        before == now
    }
}

/// A process's way to AWS.
struct Line(Shared<Process>);

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the line of process {}", self.0.id)
    }
}

impl Way for Line {
    fn lead(&self, call: AwsCall, deliver: Deliver) -> BoxFuture<'static, Option<Answer>> {
        let process = Shared::clone(&self.0);
        let deliver: Deliver = {
            let (process, call) = (Shared::clone(&process), call.clone());
            Box::new(move || {
                let answer = deliver();
                process.world.observe(&process, &call, &answer);
                answer
            })
        };
        Box::pin(async move {
            sleep(Duration::from_millis(u64::from(process.call.latency) * 10)).await;
            if process.is_nothing_new(&call) {
                return Some(deliver());
            }
            let answer = match process.mishap(&call).await {
                None => Some(deliver()),
                Some(Mishap::Meets(trouble)) => {
                    crate::saw("a call that was lost, or too late, or one too many");
                    trouble.befall(&call, deliver).await
                }
                Some(died) => {
                    if died == Mishap::DiesAfter {
                        deliver();
                    }
                    process.dead.notify_one();
                    std::future::pending().await
                }
            };
            process.is_nothing_new(&call);
            let World { gate, dms, .. } = &process.world;
            gate.hears(
                HANDLERS + process.id,
                (dms.time(), call.operation, answer.as_ref().map(Answer::text)),
            );
            answer
        })
    }
}
