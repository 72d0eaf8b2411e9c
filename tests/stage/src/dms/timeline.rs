//! What something was, is, and will be if nobody interferes.

use std::time::Duration;

use tokio::time::Instant;

/// The states of a thing by the moment they begin; `None` is "gone".
///
/// Transitions are written down when they are caused and come true as the clock passes them, so nothing has to run in
/// the background.
#[derive(Clone, Debug)]
pub(super) struct Timeline<S> {
    entries: Vec<(Instant, Option<S>)>,
}

impl<S> Timeline<S> {
    /// A life that begins now.
    pub(super) fn new(now: Instant, state: S) -> Self {
        Self { entries: vec![(now, Some(state))] }
    }

    /// When the first state began.
    pub(super) fn begins(&self) -> Instant {
        self.entries[0].0
    }

    /// The state at a moment; before the beginning, the first one.
    pub(super) fn at(&self, moment: Instant) -> Option<&S> {
        let past = self.entries.iter().rev().find(|(from, _)| *from <= moment);
        past.or(self.entries.first()).and_then(|(_, state)| state.as_ref())
    }

    /// A new state from now on, in place of all that was to come.
    pub(super) fn turn(&mut self, now: Instant, state: S) -> &mut Self {
        self.entries.retain(|(from, _)| *from <= now);
        self.entries.push((now, Some(state)));
        self
    }

    /// What follows the last state known, so much later; `None` is "gone".
    pub(super) fn then(&mut self, later: Duration, state: Option<S>) -> &mut Self {
        let last = self.entries.last().map(|(from, _)| *from);
        if let Some(last) = last {
            self.entries.push((last + later, state));
        }
        self
    }

    /// Makes the present state one that has been there since before, and the first.
    pub(super) fn backdate(&mut self, now: Instant, before: Instant) {
        let present = self.entries.iter().rposition(|(from, _)| *from <= now);
        self.entries.drain(..present.unwrap_or_default());
        self.entries[0].0 = before;
    }

    /// The states that have come true, with the moments at which they did.
    pub(super) fn past(&self, now: Instant) -> impl Iterator<Item = (Instant, Option<&S>)> {
        self.entries.iter().filter(move |(from, _)| *from <= now).map(|(from, state)| (*from, state.as_ref()))
    }
}
