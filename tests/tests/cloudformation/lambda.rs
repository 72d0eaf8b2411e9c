//! Lambda: containers that are used again, are killed, or never come to be; and the last words.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use custom_resource::Guard;
use lambda_runtime::Context;
use serde_json::{Value, json};

use crate::handler::{CALL, Call, Handler, World, construct};
use crate::plan::{Attempt, Delivery, Mishap};

type Construct = fn() -> Pin<Box<dyn Future<Output = anyhow::Result<Handler>>>>;

/// One process. It has one event at a time.
type Container = Guard<Handler, Construct>;

/// How the invocations for one URL ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    /// The function returned: so often an answer was sent.
    pub(crate) returned: usize,
    /// The process died, or said that it could not answer. An answer may have got through all the same.
    pub(crate) unknown: usize,
    /// The handler was called.
    pub(crate) entered: usize,
}

pub(crate) struct Lambda {
    world: Arc<World>,
    idle: RefCell<Vec<Container>>,
    ends: RefCell<BTreeMap<usize, Ends>>,
}

impl Lambda {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, idle: RefCell::default(), ends: RefCell::default() }
    }

    /// How the invocations for the URL of this line ended.
    pub(crate) fn ends(&self, line: usize) -> Ends {
        self.ends.borrow().get(&line).copied().unwrap_or_default()
    }

    /// Delivers an event whose URL has this line; if no attempt ends well, the last words get the record of it.
    pub(crate) async fn deliver(
        &self,
        line: usize,
        event: &Value,
        is_listened_to: bool,
        delivery: &Delivery,
    ) {
        for attempt in &delivery.attempts {
            if self.attempt(line, event, is_listened_to, attempt).await {
                return;
            }
        }
        let condition = if delivery.attempts.is_empty() {
            if is_listened_to {
                crate::saw("an event that grew too old");
            }
            "EventAgeExceeded"
        } else {
            crate::saw("a function that ended without an answer");
            "RetriesExhausted"
        };
        let record = json!({
            "version": "1.0",
            "requestContext": { "condition": condition, "approximateInvokeCount": delivery.attempts.len() },
            "requestPayload": event,
        });
        let last_words = Attempt { mishap: Some(Mishap::Construction), ..Attempt::default() };
        if !self.attempt(line, &record, false, &last_words).await {
            self.world.fault("the last words failed".to_owned());
        }
    }

    /// Whether the function returned without an error.
    async fn attempt(&self, line: usize, event: &Value, is_listened_to: bool, attempt: &Attempt) -> bool {
        let time = if attempt.hurried || matches!(attempt.mishap, Some(Mishap::Hang(_))) {
            Duration::from_millis(150)
        } else {
            Duration::from_secs(60)
        };
        let ends = SystemTime::now() + time;
        let mut context = Context::default();
        let millis = ends.duration_since(UNIX_EPOCH).unwrap().as_millis();
        context.deadline = u64::try_from(millis).unwrap();
        let call = Arc::new(Call {
            world: Arc::clone(&self.world),
            attempt: attempt.clone(),
            is_listened_to,
            ends,
            entered: AtomicBool::new(false),
        });
        let idle = self.idle.borrow_mut().pop();
        let container = idle.unwrap_or_else(|| Guard::new((|| Box::pin(construct())) as Construct));
        let handling = CALL.scope(Arc::clone(&call), container.handle(event.clone(), &context));
        let ended = until_killed(attempt.dies_after_polls, handling).await;

        let mut all = self.ends.borrow_mut();
        let of_line = all.entry(line).or_default();
        of_line.entered += usize::from(call.entered.load(Ordering::Relaxed));
        match ended {
            Some(Ok(_)) => of_line.returned += 1,
            Some(Err(_)) => {
                crate::saw("an answer that did not get through");
                of_line.unknown += 1;
            }
            None => {
                crate::saw("a process that was killed");
                of_line.unknown += 1;
                return false;
            }
        }
        self.idle.borrow_mut().push(container);
        matches!(ended, Some(Ok(_)))
    }
}

/// Drops the work before it is polled once more than that often; `None` if it did not end before.
async fn until_killed<T>(polls: Option<u8>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut polled = 0;
    poll_fn(|context| {
        if Some(polled) == polls {
            return Poll::Ready(None);
        }
        polled = polled.saturating_add(1);
        work.as_mut().poll(context).map(Some)
    })
    .await
}
