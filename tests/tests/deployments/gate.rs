//! Where whoever does something waits for leave, if a schedule says who goes on. Otherwise all go on at once.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use stage::lives::Mishap;
use tokio::sync::{Notify, oneshot};

/// Who waits: one of these, or an invocation by its number.
pub(crate) type Actor = usize;

pub(crate) const CLOUDFORMATION: Actor = 0;
pub(crate) const OPERATOR: Actor = 1;
/// The first invocation.
pub(crate) const HANDLERS: Actor = 2;
/// Whoever cancels an update.
pub(crate) const CANCELLER: Actor = Actor::MAX;

/// Something that waits for leave: whose it is, what, and its number.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) actor: Actor,
    pub(crate) what: String,
    pub(crate) number: u64,
}

/// What somebody who waits is given: something that goes wrong, or nothing.
pub(crate) type Leave = Option<Mishap>;

/// A handle to the one gate of a run. It is open at first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    waiting: BTreeMap<Actor, VecDeque<(Waiting, oneshot::Sender<Leave>)>>,
    /// What each has heard so far, and when.
    heard: BTreeMap<Actor, u64>,
    /// How often somebody has come, or gone for good.
    arrivals: u64,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// From now on it takes leave to do something.
    pub(crate) fn closes(&self) {
        self.state().is_closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Waits for leave to do this, if it takes leave.
    pub(crate) async fn leave(&self, actor: Actor, what: impl Into<String>) -> Leave {
        if !self.is_closed() {
            return None;
        }
        let (leave, given) = oneshot::channel();
        self.arrives();
        let waiting = Waiting { actor, what: what.into(), number: self.arrivals() };
        self.state().waiting.entry(actor).or_default().push_back((waiting, leave));
        given.await.unwrap_or(Some(Mishap::DiesBefore))
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
        if !state.is_closed {
            return;
        }
        let heard = state.heard.entry(actor).or_default();
        *heard = hash((*heard, what));
    }

    pub(crate) fn heard(&self) -> u64 {
        hash(&self.state().heard)
    }
}

pub(crate) fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
