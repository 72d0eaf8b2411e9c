//! Where calls wait for leave.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::future::BoxFuture;
use serde_json::Value;
use stage::aws::{Answer, Call, Deliver, Trouble, Way};
use stage::dms::Dms;
use tokio::sync::{Notify, oneshot};

/// Who waits: CloudFormation, the operator, or a handler by the number of its call.
pub(crate) type Actor = usize;

/// Something that waits for leave: whose it is, what, and its number.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) actor: Actor,
    pub(crate) what: String,
    pub(crate) number: u64,
}

/// What somebody who waits is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leave {
    Go,
    Meet(Trouble),
    Die,
}

/// A handle to the one gate of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Actor, VecDeque<(Waiting, oneshot::Sender<Leave>)>>,
    /// What each has heard so far, and when.
    heard: BTreeMap<Actor, u64>,
    /// How often somebody has come, or gone for good.
    arrivals: u64,
    trace: Vec<String>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Waits for leave to do this.
    pub(crate) async fn leave(&self, actor: Actor, what: impl Into<String>) -> Leave {
        let (leave, given) = oneshot::channel();
        self.arrives();
        let waiting = Waiting { actor, what: what.into(), number: self.arrivals() };
        self.state().waiting.entry(actor).or_default().push_back((waiting, leave));
        given.await.unwrap_or(Leave::Die)
    }

    /// Somebody is done.
    pub(crate) fn arrives(&self) {
        self.state().arrivals += 1;
        self.0.arrived.notify_one();
    }

    pub(crate) fn arrivals(&self) -> u64 {
        self.state().arrivals
    }

    /// Waits until somebody has come since there were so many.
    pub(crate) async fn arrival_after(&self, before: u64) {
        while self.arrivals() == before {
            self.0.arrived.notified().await;
        }
    }

    /// Who waits for what. Of several calls of one handler at the same time, the first.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let mut state = self.state();
        // Whoever has died, or given up, waits no more.
        for calls in state.waiting.values_mut() {
            calls.retain(|(_, leave)| !leave.is_closed());
        }
        state.waiting.values().filter_map(|calls| Some(calls.front()?.0.clone())).collect()
    }

    /// Gives leave.
    pub(crate) fn give(&self, actor: Actor, leave: Leave) {
        let first = self.state().waiting.get_mut(&actor).and_then(VecDeque::pop_front);
        if let Some((_, waits)) = first {
            let _ = waits.send(leave);
        }
    }

    /// Somebody has heard something.
    pub(crate) fn hears(&self, actor: Actor, what: impl Hash) {
        let mut state = self.state();
        let heard = state.heard.entry(actor).or_default();
        *heard = hash((*heard, what));
    }

    pub(crate) fn heard(&self) -> u64 {
        hash(&self.state().heard)
    }

    pub(crate) fn note(&self, line: String) {
        self.state().trace.push(line);
    }

    pub(crate) fn trace(&self) -> String {
        self.state().trace.join("\n")
    }
}

pub(crate) fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// A handler's way to AWS.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) gate: Gate,
    pub(crate) actor: Actor,
    pub(crate) name: &'static str,
    pub(crate) dms: Dms,
    pub(crate) dead: Arc<Notify>,
    /// What the last poll brought.
    pub(crate) polled: Arc<Mutex<Option<Value>>>,
}

impl Line {
    /// Whether this is a poll that brings what the last one brought.
    fn is_nothing_new(&self, call: &Call) -> bool {
        if call.operation != "DescribeReplicationTasks" {
            return false;
        }
        let asked = serde_json::from_slice(&call.body).unwrap_or_default();
        let mut now = self.dms.call(&call.operation, &asked).unwrap_or_default();
        // It counts the time, which no decision looks at.
        if let Some(stats) = now.pointer_mut("/ReplicationTasks/0/ReplicationTaskStats/ElapsedTimeMillis") {
            *stats = Value::Null;
        }
        let mut polled = self.polled.lock().unwrap();
        let is_same = polled.as_ref() == Some(&now);
        *polled = Some(now);
        is_same
    }
}

impl Way for Line {
    fn lead(&self, call: Call, deliver: Deliver) -> BoxFuture<'static, Option<Answer>> {
        let line = self.clone();
        Box::pin(async move {
            let Line { gate, actor, dms, .. } = &line;
            if line.is_nothing_new(&call) {
                return Some(deliver());
            }
            let leave = gate.leave(*actor, format!("{} {}", line.name, call.operation)).await;
            let answer = match leave {
                Leave::Go => Some(deliver()),
                Leave::Meet(trouble) => trouble.befall(&call, deliver).await,
                Leave::Die => {
                    line.dead.notify_one();
                    std::future::pending().await
                }
            };
            line.is_nothing_new(&call);
            let heard = answer.as_ref().map(Answer::text);
            gate.hears(*actor, (dms.time(), call.operation, heard));
            answer
        })
    }
}
