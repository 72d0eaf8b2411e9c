//! One request from payload to answer, with nothing that can escape.

use std::panic::AssertUnwindSafe;

use anyhow::Context as _;
use futures::FutureExt;
use lambda_runtime::Context;
use serde_json::Value;
use tokio::sync::OnceCell;
use tracing::{Instrument, Span, error, info, info_span};

use crate::answer::{self, Outcome};
use crate::callback;
use crate::deadline::Schedule;
use crate::event::{self, Asked, Event};
use crate::last_words::Ending;
use crate::physical_id::PhysicalId;
use crate::properties;
use crate::reason::{self, Reason};
use crate::recipient::Recipient;
use crate::resource::{Attributes, Request, Resource};

/// A handler that is made when the first request needs it, so that a failure to make it can be answered too. [`run`]
/// serves it to Lambda.
///
/// [`run`]: crate::run
pub struct Guard<R, F> {
    construct: F,
    handler: OnceCell<R>,
}

impl<R, F> Guard<R, F>
where
    R: Resource,
    F: AsyncFn() -> anyhow::Result<R>,
{
    /// A guard whose handler `construct` makes; after a failure it is called again.
    pub fn new(construct: F) -> Self {
        Self { construct, handler: OnceCell::new() }
    }

    /// Deals with one event: a request of CloudFormation's, the record of a request that some function did not answer, or
    /// an event for [`Resource::notified`]. What the latter returns; otherwise nothing (null), since the answer goes to
    /// CloudFormation.
    ///
    /// # Errors
    /// If another delivery of the event can help: CloudFormation could not be reached with the answer, or an event of
    /// another kind was not dealt with.
    pub async fn handle(&self, event: Value, context: &Context) -> anyhow::Result<Value> {
        match event::read(event) {
            Ok(Event::Request(to, event)) => {
                let span = span(&to, event::request_type(&event));
                let answered = self.request(&to, event, context);
                answered.instrument(span).await.map(|()| Value::Null)
            }
            Ok(Event::LastWords(to, ending)) => {
                let span = span(&to, "last words");
                let answered = last_words(&to, &ending, context);
                answered.instrument(span).await.map(|()| Value::Null)
            }
            Ok(Event::Other(event)) => {
                let kind = event.get("detail-type").and_then(Value::as_str).unwrap_or("(none)");
                let span = info_span!("event", "event.type" = kind);
                self.notify(event, context).instrument(span).await
            }
            Err(error) => {
                error!(%error, "this request can't be answered, and another try would not help");
                Ok(Value::Null)
            }
        }
    }

    async fn request(&self, to: &Recipient, event: Value, context: &Context) -> anyhow::Result<()> {
        if is_stale(to) {
            return Ok(());
        }
        let schedule = Schedule::until(context.deadline, to.listens_until());
        let request_type = event::request_type(&event).to_owned();
        info!("{request_type} of {} in stack {}", to.logical_id, to.stack_name());
        let mut entered = false;
        // In a box, since the futures of a handler nest deeper than the compiler follows with a guard around them.
        let work = Box::pin(self.work(to, event, schedule, &mut entered));
        let outcome = within(schedule, work).await;
        let outcome = outcome.unwrap_or_else(|error| {
            error!("{request_type} failed: {error:#}");
            Outcome::Failed(Reason::new(format!("{error:#}"), context))
        });
        let id = match &to.physical_id {
            None if !entered => PhysicalId::not_created(&to.stack_id, &to.logical_id),
            _ => to.made(),
        };
        deliver(to, &id, &outcome, schedule, context).await
    }

    async fn work(
        &self,
        to: &Recipient,
        event: Value,
        schedule: Schedule,
        entered: &mut bool,
    ) -> anyhow::Result<Outcome> {
        match event::decode(event)? {
            Asked::Create { properties } => {
                let id = to.made();
                let request = request(to, id, schedule, properties::decode(properties)?);
                let handler = self.handler().await?;
                *entered = true;
                handler.create(request).await.map(Outcome::Done)
            }
            Asked::Update { physical_id, properties } => {
                let request = request(to, physical_id, schedule, properties::decode(properties)?);
                self.handler().await?.update(request).await.map(Outcome::Done)
            }
            Asked::Delete { physical_id } if physical_id.says_not_created() => {
                info!("its Create failed before anything was made: there is nothing to delete");
                Ok(Outcome::Done(Attributes::default()))
            }
            Asked::Delete { physical_id } => {
                let request = request(to, physical_id, schedule, ());
                self.handler().await?.delete(request).await?;
                Ok(Outcome::Done(Attributes::default()))
            }
        }
    }

    async fn notify(&self, event: Value, context: &Context) -> anyhow::Result<Value> {
        let schedule = Schedule::until(context.deadline, None);
        let work = async { self.handler().await?.notified(event, schedule.work).await };
        within(schedule, Box::pin(work)).await.inspect_err(|error| error!("{error:#}"))
    }

    async fn handler(&self) -> anyhow::Result<&R> {
        self.handler.get_or_try_init(|| (self.construct)()).await.context("preparing the handler")
    }
}

/// Answers FAILED for a function that didn't. What it made, if it made anything, keeps its id, so that the Delete that
/// follows is not taken for one of nothing.
async fn last_words(to: &Recipient, ending: &Ending, context: &Context) -> anyhow::Result<()> {
    if is_stale(to) {
        return Ok(());
    }
    error!("{} in stack {}: {ending}", to.logical_id, to.stack_name());
    let schedule = Schedule::until(context.deadline, to.listens_until());
    deliver(to, &to.made(), &Outcome::Failed(Reason::new(ending, context)), schedule, context).await
}

/// Whether nobody waits for an answer any more. Then nothing may be begun: CloudFormation has gone on without us.
fn is_stale(to: &Recipient) -> bool {
    let stale = to.has_stopped_listening();
    if stale {
        error!(
            "CloudFormation has stopped waiting for this request: it is dropped, and nothing is done for it"
        );
    }
    stale
}

/// Sends an answer.
async fn deliver(
    to: &Recipient,
    id: &PhysicalId,
    outcome: &Outcome,
    schedule: Schedule,
    context: &Context,
) -> anyhow::Result<()> {
    let body = answer::body(to, id, outcome, |bytes| {
        let max = answer::MAX_BYTES;
        let reason = format!("the attributes make an answer of {bytes} bytes; CloudFormation takes {max}");
        error!("{reason}");
        Reason::new(reason, context)
    });
    match callback::put(&to.url, &body, schedule.end).await {
        Ok(()) => {
            info!(bytes = body.len(), "CloudFormation has the answer");
            Ok(())
        }
        Err(why) => {
            error!("CloudFormation does not have the answer: {why}");
            if to.has_stopped_listening() {
                return Ok(());
            }
            // Lambda's next try, or the last words, may come from a place that is let through.
            Err(anyhow::anyhow!("answering CloudFormation: {why}"))
        }
    }
}

fn span(to: &Recipient, kind: &str) -> Span {
    info_span!(
        "request",
        "request.type" = kind,
        "request.id" = to.request_id,
        "resource.id" = to.logical_id,
        "stack.name" = to.stack_name(),
    )
}

/// Runs work until the schedule cuts it off; a panic becomes an error.
async fn within<T>(schedule: Schedule, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // The time-out is inside: work that is given up may panic when it is dropped. So is the making of an error's words: a
    // type's Display may panic as well.
    let work = async {
        let work = tokio::time::timeout_at(schedule.cut.instant(), work);
        let done = work.await.unwrap_or_else(|_| {
            Err(anyhow::anyhow!(
                "the function's time is nearly over and the work is not done: it was given up"
            ))
        });
        done.map_err(|error| anyhow::Error::msg(format!("{error:#}")))
    };
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(anyhow::Error::msg(reason::of_panic(panic.as_ref()))))
}

fn request<P>(to: &Recipient, physical_id: PhysicalId, schedule: Schedule, properties: P) -> Request<P> {
    Request {
        stack_id: to.stack_id.clone(),
        request_id: to.request_id.clone(),
        logical_id: to.logical_id.clone(),
        physical_id,
        deadline: schedule.work,
        properties,
    }
}
