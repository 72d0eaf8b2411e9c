//! CloudFormation: a stack with one custom resource, and what it sends because of what it hears.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stage::callback::{Answer, Callback, Reply, signed};
use stage::request;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::handler::{Thing, World};
use crate::lambda::{Ends, Lambda};
use crate::plan::{Change, Delivery, Life, Plan, Signed, When};

/// What an id ends with if its Create failed before the handler was called.
const NOT_CREATED: &str = "-not-created";

/// What CloudFormation calls a resource that never told it an id.
const MADE_UP: &str = "stream-Thing-1QZ7K0EXAMPLE";

/// How CloudFormation gets to go on after it sent a request.
enum Heard {
    Answer(Answer),
    /// It waited for `ServiceTimeout`.
    Nothing,
    /// Another resource failed.
    Cancelled,
}

/// A request that was sent.
struct Sent {
    /// The line of its URL, and the URL less the place.
    line: usize,
    path: String,
    /// The event, less the URL.
    event: Value,
    is_listened_to: bool,
}

pub(crate) struct CloudFormation {
    world: Arc<World>,
    callback: Rc<Callback>,
    sent: RefCell<Vec<Sent>>,
    lambda: Rc<Lambda>,
    /// Deliveries that were still at work when CloudFormation went on.
    strays: Vec<JoinSet<()>>,
    /// None was at work any more when the last request was sent.
    alone: bool,
    /// Duplicates that come after the last Delete.
    afterwards: Vec<(usize, Value, Delivery)>,
    /// Every event so far.
    events: Vec<Value>,
    /// How many requests have been made.
    requests: u32,
}

impl CloudFormation {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(World::default());
        Self {
            callback: Rc::new(Callback::start().await.unwrap()),
            sent: RefCell::default(),
            lambda: Rc::new(Lambda::new(Arc::clone(&world))),
            world,
            strays: Vec::new(),
            alone: true,
            afterwards: Vec::new(),
            events: Vec::new(),
            requests: 0,
        }
    }

    /// Lives through all of it; what went wrong.
    pub(crate) async fn live(mut self, lives: &[Life]) -> Vec<String> {
        for life in lives {
            self.life(life).await;
            self.end().await;
        }
        let mut ids = self.world.ids();
        for sent in self.sent.borrow().iter() {
            let answers = self.answers(sent);
            for fault in sent.faults(&answers, self.lambda.ends(sent.line), &mut ids) {
                self.world.fault(format!("{fault}: {}", sent.path));
            }
        }
        if ids.len() > 1 {
            self.world.fault(format!("Creates of one resource are called {ids:?}"));
        }
        self.world.faults()
    }

    async fn life(&mut self, life: &Life) {
        let mut value = 7;
        let properties = properties(value, life.malformed);
        let event = self.event("Create", None, &properties);
        let cancelled = life.cancelled_after_ms.map(u64::from);
        let id = match self.send(event, &life.create, cancelled).await {
            Heard::Answer(answer) if answer.success => {
                self.compare(value, &answer);
                for change in &life.changes {
                    value = self.change(&answer.physical_id, value, change).await;
                }
                answer.physical_id
            }
            Heard::Answer(answer) if !life.own_id => {
                crate::saw(if answer.physical_id.ends_with(NOT_CREATED) {
                    "the Delete of a Create that never began"
                } else {
                    "the Delete of a failed Create, by the id given"
                });
                answer.physical_id
            }
            Heard::Answer(_) | Heard::Nothing => {
                crate::saw("the Delete of a failed Create, by an id made up");
                MADE_UP.to_owned()
            }
            Heard::Cancelled => {
                crate::saw("the Delete of a Create that was cancelled");
                MADE_UP.to_owned()
            }
        };
        for plan in &life.deletes {
            if self.delete(&id, plan).await {
                return;
            }
            crate::saw("a Delete that failed and was sent again");
        }
        if !self.delete(&id, &Plan::default()).await {
            self.world.fault("a Delete failed that nothing stood in the way of".to_owned());
        }
    }

    /// Updates the resource, and back again if that or anything else in the stack fails. The value it is left with.
    async fn change(&mut self, id: &str, old: u32, change: &Change) -> u32 {
        let new = old + 1;
        let event = self.event("Update", Some(id), &properties(new, change.malformed));
        if let Heard::Answer(answer) = self.send(event, &change.forth, None).await
            && answer.success
        {
            self.compare(new, &answer);
            if !change.fails_elsewhere {
                return new;
            }
        }
        crate::saw("an Update that was rolled back");
        let event = self.event("Update", Some(id), &properties(old, false));
        let mut answer = self.send(event.clone(), &change.back, None).await;
        if !matches!(&answer, Heard::Answer(answer) if answer.success) {
            // UPDATE_ROLLBACK_FAILED: somebody continues it. The RequestId may be the same.
            answer = self.send(event, &Plan::default(), None).await;
        }
        match answer {
            Heard::Answer(answer) if answer.success => self.compare(old, &answer),
            _ => self.world.fault("a rollback failed that nothing stood in the way of".to_owned()),
        }
        old
    }

    async fn delete(&mut self, id: &str, plan: &Plan) -> bool {
        // Of a shape that no handler knows any more.
        let event = self.event("Delete", Some(id), &json!({ "Long": { "ago": [1, 2] } }));
        matches!(self.send(event, plan, None).await, Heard::Answer(answer) if answer.success)
    }

    /// After the last Delete: nothing is left, whatever still comes.
    async fn end(&mut self) {
        for (line, event, delivery) in self.afterwards.split_off(0) {
            crate::saw("a duplicate after the last Delete");
            self.lambda.deliver(line, &event, true, &delivery).await;
        }
        for mut stray in self.strays.split_off(0) {
            finish(&mut stray).await;
        }
        self.world.an_hour_passes();
        let an_hour_ago = Signed { seconds_ago: 3600, ..Signed::default() };
        for event in self.events.split_off(0) {
            self.late(event, an_hour_ago).await;
        }
        let made = self.world.made();
        if !made.is_empty() {
            self.world.fault(format!("left after the last Delete: {made:?}"));
        }
    }

    fn event(&mut self, kind: &str, id: Option<&str>, properties: &Value) -> Value {
        self.requests += 1;
        let mut event = request::event(kind, "Thing", "", properties);
        event["RequestId"] = format!("r-{}", self.requests).into();
        if let Some(id) = id {
            event["PhysicalResourceId"] = id.into();
        }
        event
    }

    /// Sends a request, and waits until there is a reason to go on.
    async fn send(&mut self, mut event: Value, plan: &Plan, cancelled: Option<u64>) -> Heard {
        let is_listened_to = plan.signed.is_listened_to();
        let line = self.open(&mut event, plan.signed, plan.busy);
        for stray in &mut self.strays {
            while let Some(delivery) = stray.try_join_next() {
                delivery.unwrap();
            }
        }
        self.alone = self.strays.iter().all(JoinSet::is_empty);
        let mut deliveries = JoinSet::new();
        let mut spawn = |after_ms: u8, delivery: &Delivery| {
            let (lambda, event, delivery) = (Rc::clone(&self.lambda), event.clone(), delivery.clone());
            deliveries.spawn_local(async move {
                sleep(Duration::from_millis(after_ms.into())).await;
                lambda.deliver(line, &event, is_listened_to, &delivery).await;
            });
        };
        spawn(0, &plan.delivery);
        for (when, delivery) in &plan.duplicates {
            match when {
                When::Ms(ms) => spawn(*ms, delivery),
                When::Afterwards if is_listened_to => {
                    let duplicate = (line, event.clone(), delivery.clone());
                    self.afterwards.push(duplicate);
                }
                When::Afterwards => {}
            }
        }
        let cancel = async {
            match cancelled {
                Some(ms) => sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        let callback = Rc::clone(&self.callback);
        let heard = tokio::select! {
            biased;
            put = callback.heard(line) => Some(put),
            () = cancel => None,
            () = finish(&mut deliveries) => callback.line(line).accepted.into_iter().next(),
        };
        // What comes after the first is ignored, as CloudFormation has gone on by then.
        let heard = match heard.map(|put| put.read(&event)) {
            Some(Ok(answer)) => Heard::Answer(answer),
            None if !deliveries.is_empty() => Heard::Cancelled,
            None | Some(Err(_)) => Heard::Nothing,
        };
        if is_listened_to && matches!(heard, Heard::Nothing) {
            self.world.fault(format!("nobody answered {event}"));
        }
        if let Some(signed) = plan.late {
            self.late(event.clone(), signed).await;
        }
        if !plan.impatient && !matches!(heard, Heard::Cancelled) {
            finish(&mut deliveries).await;
        }
        self.strays.push(deliveries);
        self.events.push(event);
        heard
    }

    /// Delivers an event again, and the record of it, with nobody left who listens.
    async fn late(&self, mut event: Value, signed: Signed) {
        crate::saw("a request that nobody waits for any more");
        let line = self.open(&mut event, signed, 0);
        for delivery in [Delivery::default(), Delivery { attempts: vec![] }] {
            self.lambda.deliver(line, &event, false, &delivery).await;
        }
    }

    /// Opens a line for an event, and puts its URL into it.
    fn open(&self, event: &mut Value, at: Signed, busy: u8) -> usize {
        let line = self.callback.open(vec![Reply::from(503); busy.into()]);
        let query = signed(Some(Duration::from_secs(at.seconds_ago.into())), Some(at.expires.into()));
        let path = format!("/{line}/stack%7CThing%7C{}?{query}", event["RequestId"].as_str().unwrap());
        let url = format!("{}{path}", self.callback.endpoint());
        let is_listened_to = at.is_listened_to();
        self.sent.borrow_mut().push(Sent { line, path, event: event.clone(), is_listened_to });
        event["ResponseURL"] = url.into();
        line
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

    /// Looks whether the thing is what a successful answer says. What an older request does to it meanwhile can't be known.
    fn compare(&self, value: u32, answer: &Answer) {
        if answer.data != json!({ "Value": value.to_string() }) {
            self.world.fault(format!("the answer's attributes are {}, not {value}", answer.data));
        }
        if !self.alone {
            crate::saw("an older request still at work");
            return;
        }
        let is_whole = true;
        if self.world.made() != [Thing { value, is_whole }] {
            let made = self.world.made();
            self.world.fault(format!("made is {made:?}, where {value} was asked for"));
        }
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

fn properties(value: u32, malformed: bool) -> Value {
    if malformed {
        json!({ "Value": value.to_string(), "Valeu": "8" })
    } else {
        json!({ "Value": value.to_string() })
    }
}

/// Waits until all deliveries have ended.
async fn finish(deliveries: &mut JoinSet<()>) {
    while let Some(delivery) = deliveries.join_next().await {
        delivery.unwrap();
    }
}
