//! One request from payload to answer, with nothing that can escape.

use std::panic::AssertUnwindSafe;

use anyhow::Context as _;
use futures::FutureExt;
use lambda_runtime::Context;
use serde_json::Value;
use tokio::sync::OnceCell;
use tracing::{Instrument, error, info, info_span};

use crate::answer::{self, Outcome};
use crate::callback::{self, NotDelivered};
use crate::deadline::Schedule;
use crate::event::{self, Asked, Recipient};
use crate::physical_id::PhysicalId;
use crate::properties;
use crate::reason::{self, Reason};
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
        Self {
            construct,
            handler: OnceCell::new(),
        }
    }

    /// Deals with one event.
    ///
    /// # Errors
    /// If another delivery of the event can help: CloudFormation could not be reached with the answer, or an event of
    /// another kind was not dealt with.
    pub async fn handle(&self, mut event: Value, context: &Context) -> anyhow::Result<()> {
        let schedule = Schedule::until(context.deadline);
        match Recipient::find(&mut event) {
            Ok(Some(recipient)) => {
                let span = info_span!(
                    "request",
                    "request.type" = event::request_type(&event),
                    "request.id" = recipient.request_id,
                    "resource.id" = recipient.logical_id,
                    "stack.name" = recipient.stack_name(),
                );
                self.answer(&recipient, event, schedule, context)
                    .instrument(span)
                    .await
            }
            Ok(None) => {
                self.notify(event, schedule)
                    .instrument(info_span!("event"))
                    .await
            }
            Err(error) => {
                error!(%error, "this request can't be answered, and another try would not help");
                Ok(())
            }
        }
    }

    async fn answer(
        &self,
        to: &Recipient,
        event: Value,
        schedule: Schedule,
        context: &Context,
    ) -> anyhow::Result<()> {
        let request_type = event::request_type(&event).to_owned();
        info!(
            "{request_type} of {} in stack {}",
            to.logical_id,
            to.stack_name()
        );
        let mut entered = false;
        let outcome = within(schedule, self.work(to, event, schedule, &mut entered)).await;
        let outcome = outcome.unwrap_or_else(|error| {
            error!("{request_type} failed: {error:#}");
            Outcome::Failed(Reason::new(format!("{error:#}"), context))
        });
        let id = match &to.physical_id {
            Some(id) => id.clone(),
            None if entered => PhysicalId::of(&to.stack_id, &to.logical_id),
            None => PhysicalId::not_created(&to.stack_id, &to.logical_id),
        };
        let body = answer::body(to, &id, &outcome, |bytes| {
            error!("the attributes make an answer of {bytes} bytes");
            Reason::new(
                format!(
                    "the attributes make an answer of {bytes} bytes; CloudFormation takes {}",
                    answer::MAX_BYTES
                ),
                context,
            )
        });
        match callback::put(&to.url, &body, schedule.end).await {
            Ok(()) => {
                info!(bytes = body.len(), "CloudFormation has the answer");
                Ok(())
            }
            Err(NotDelivered::Final(why)) => {
                error!(
                    "CloudFormation does not take the answer, and another try would not help: {why}"
                );
                Ok(())
            }
            Err(NotDelivered::Unreachable(why)) => {
                Err(anyhow::anyhow!("answering CloudFormation: {why}"))
            }
        }
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
                let id = PhysicalId::of(&to.stack_id, &to.logical_id);
                let request = request(to, id, schedule, properties::decode(properties)?);
                let handler = self.handler().await?;
                *entered = true;
                handler.create(request).await.map(Outcome::Done)
            }
            Asked::Update {
                physical_id,
                properties,
            } => {
                let request = request(to, physical_id, schedule, properties::decode(properties)?);
                self.handler()
                    .await?
                    .update(request)
                    .await
                    .map(Outcome::Done)
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

    async fn notify(&self, event: Value, schedule: Schedule) -> anyhow::Result<()> {
        let work = async { self.handler().await?.notified(event, schedule.work).await };
        within(schedule, work)
            .await
            .inspect_err(|error| error!("{error:#}"))
    }

    async fn handler(&self) -> anyhow::Result<&R> {
        self.handler
            .get_or_try_init(|| (self.construct)())
            .await
            .context("preparing the handler")
    }
}

/// Runs work until the schedule cuts it off; a panic becomes an error.
async fn within<T>(
    schedule: Schedule,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let work = AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout_at(schedule.cut.instant(), work).await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => Err(anyhow::Error::msg(reason::of_panic(panic.as_ref()))),
        Err(_) => Err(anyhow::anyhow!(
            "the function's time is nearly over and the work is not done: it was given up"
        )),
    }
}

fn request<P>(
    to: &Recipient,
    physical_id: PhysicalId,
    schedule: Schedule,
    properties: P,
) -> Request<P> {
    Request {
        stack_id: to.stack_id.clone(),
        request_id: to.request_id.clone(),
        logical_id: to.logical_id.clone(),
        physical_id,
        deadline: schedule.work,
        properties,
    }
}
