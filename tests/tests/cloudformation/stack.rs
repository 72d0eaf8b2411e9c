//! CloudFormation: a stack with one custom resource, and what it sends because of what it hears.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stage::callback::Answer;
use stage::request;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::handler::{Thing, World};
use crate::lambda::Lambda;
use crate::plan::{Change, Delivery, Life, Plan, Signed, When};
use crate::requests::{NOT_CREATED, Requests};

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

pub(crate) struct CloudFormation {
    world: Arc<World>,
    requests: Rc<Requests>,
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
    count: u32,
}

impl CloudFormation {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(World::default());
        Self {
            requests: Rc::new(Requests::new(&world).await),
            lambda: Rc::new(Lambda::new(Arc::clone(&world))),
            world,
            strays: Vec::new(),
            alone: true,
            afterwards: Vec::new(),
            events: Vec::new(),
            count: 0,
        }
    }

    /// Lives through all of it; what went wrong.
    pub(crate) async fn live(mut self, lives: &[Life]) -> Vec<String> {
        for life in lives {
            self.life(life).await;
            self.end().await;
        }
        let mut ids = self.world.ids();
        self.requests.check(&self.lambda, &mut ids);
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
        self.count += 1;
        let mut event = request::event(kind, "Thing", "", properties);
        event["RequestId"] = format!("r-{}", self.count).into();
        if let Some(id) = id {
            event["PhysicalResourceId"] = id.into();
        }
        event
    }

    /// Sends a request, and waits until there is a reason to go on.
    async fn send(&mut self, mut event: Value, plan: &Plan, cancelled: Option<u64>) -> Heard {
        let is_listened_to = plan.signed.is_listened_to();
        let line = self.requests.open(&mut event, plan.signed, plan.busy);
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
        let requests = Rc::clone(&self.requests);
        let answer = |answer: Option<Answer>| answer.map_or(Heard::Nothing, Heard::Answer);
        let heard = tokio::select! {
            biased;
            first = requests.heard(line) => answer(first),
            () = cancel => Heard::Cancelled,
            () = finish(&mut deliveries) => answer(requests.first(line)),
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
        let line = self.requests.open(&mut event, signed, 0);
        for delivery in [Delivery::default(), Delivery { attempts: vec![] }] {
            self.lambda.deliver(line, &event, false, &delivery).await;
        }
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
