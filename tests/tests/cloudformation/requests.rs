//! The requests that were sent, and where CloudFormation listens for the answers to them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stage::callback::{Answer, Callback, Put, Reply, signed};

use crate::handler::World;
use crate::lambda::{Ends, Lambda};
use crate::plan::Signed;

/// What an id ends with if its Create failed before the handler was called.
pub(crate) const NOT_CREATED: &str = "-not-created";

/// A request that was sent.
struct Sent {
    /// The line of its URL, and the URL less the place.
    line: usize,
    path: String,
    /// The event, less the URL.
    event: Value,
    is_listened_to: bool,
}

pub(crate) struct Requests {
    world: Arc<World>,
    callback: Callback,
    sent: RefCell<Vec<Sent>>,
}

impl Requests {
    pub(crate) async fn new(world: &Arc<World>) -> Self {
        let callback = Callback::start().await.unwrap();
        Self { world: Arc::clone(world), callback, sent: RefCell::default() }
    }

    /// Opens a line for an event, and puts its URL into it.
    pub(crate) fn open(&self, event: &mut Value, at: Signed, busy: u8) -> usize {
        let line = self.callback.open(vec![Reply::from(503); busy.into()]);
        let query = signed(Some(Duration::from_secs(at.seconds_ago.into())), Some(at.expires.into()));
        let path = format!("/{line}/stack%7CThing%7C{}?{query}", event["RequestId"].as_str().unwrap());
        let url = format!("{}{path}", self.callback.endpoint());
        let is_listened_to = at.is_listened_to();
        self.sent.borrow_mut().push(Sent { line, path, event: event.clone(), is_listened_to });
        event["ResponseURL"] = url.into();
        line
    }

    /// The first answer on a line, which CloudFormation goes on by; what comes after it is ignored. `None` where it can't be
    /// read, as where none came.
    pub(crate) fn first(&self, line: usize) -> Option<Answer> {
        self.callback.line(line).accepted.first().and_then(|put| self.read(line, put))
    }

    /// Waits for the first answer on a line.
    pub(crate) async fn heard(&self, line: usize) -> Option<Answer> {
        let put = self.callback.heard(line).await;
        self.read(line, &put)
    }

    fn read(&self, line: usize, put: &Put) -> Option<Answer> {
        let sent = self.sent.borrow();
        let sent = sent.iter().find(|sent| sent.line == line)?;
        put.read(&sent.event).ok()
    }

    /// Looks at all that came, after invocations that ended as Lambda knows. Collects the ids that Creates answer.
    pub(crate) fn check(&self, lambda: &Lambda, ids: &mut BTreeSet<String>) {
        for sent in self.sent.borrow().iter() {
            let answers = self.answers(sent);
            for fault in sent.faults(&answers, lambda.ends(sent.line), ids) {
                self.world.fault(format!("{fault}: {}", sent.path));
            }
        }
        for stray in self.callback.strays() {
            self.world.fault(format!("no such URL was given: {stray}"));
        }
    }

    /// The answers to a request that were taken.
    fn answers(&self, sent: &Sent) -> Vec<Answer> {
        let line = self.callback.line(sent.line);
        if line.puts.iter().any(|put| put.path_and_query != sent.path) {
            self.world.fault(format!("no such URL was given: {line:?}"));
        }
        if !line.puts.is_empty() && !sent.is_listened_to {
            self.world.fault(format!("an answer where nobody listens: {line:?}"));
        }
        let read = line.accepted.iter().map(|put| put.read(&sent.event));
        let (answers, faults): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
        faults.into_iter().filter_map(Result::err).for_each(|fault| self.world.fault(fault));
        if answers.len() > 1 {
            crate::saw("a second answer, ignored");
        }
        answers.into_iter().flatten().collect()
    }
}

impl Sent {
    /// What is wrong with what was answered, after invocations that ended so. Collects the ids that Creates answer.
    fn faults(&self, answers: &[Answer], ends: Ends, ids: &mut BTreeSet<String>) -> Vec<String> {
        let mut faults = Vec::new();
        let count = answers.len();
        let may_be =
            if self.is_listened_to { ends.returned.max(1)..=ends.returned + ends.unknown } else { 0..=0 };
        if !may_be.contains(&count) {
            faults.push(format!("{count} answers from {ends:?}"));
        }
        let given = self.event["PhysicalResourceId"].as_str();
        for Answer { physical_id, .. } in answers {
            let marked = physical_id.strip_suffix(NOT_CREATED);
            let is_right = match given {
                Some(given) => physical_id == given,
                None => marked.is_none() || ends.entered == 0,
            };
            if !is_right {
                faults.push(format!("{physical_id} answers {}", self.event));
            }
            if given.is_none() {
                ids.insert(marked.unwrap_or(physical_id).to_owned());
            }
        }
        faults
    }
}
