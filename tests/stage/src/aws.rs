//! The services that dms-pre and dms-post call, as one: [`Dms`] and [`Stack`] behind the SDK's client in the tests' own process,
//! where a paused clock drives it, or behind a port for the real binaries. Either way each call passes a [`Way`], on which
//! something may happen to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::dms::Dms;
use crate::stack::Stack;

mod port;

pub use port::serve;

/// A moment on both clocks: that of the services, and tokio's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub(crate) origin: Instant,
    pub(crate) epoch: SystemTime,
}

impl Clock {
    /// A clock that shows the time of now, and follows tokio's.
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now(), epoch: SystemTime::now() }
    }

    /// A clock that shows the same time whenever it is started.
    pub(crate) fn fixed() -> Self {
        Self { epoch: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000), ..Self::start() }
    }

    /// The services' time.
    pub fn now(&self) -> SystemTime {
        self.epoch + self.origin.elapsed()
    }
}

/// A call of an operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// The operation's API name.
    pub operation: String,
    /// What it is asked, in the service's own form.
    pub body: Bytes,
    /// Whether DMS is asked, and not CloudFormation.
    is_dms: bool,
}

impl Call {
    /// The call in a request: DMS names the operation in a header, CloudFormation in the form.
    fn read(headers: &HeaderMap, body: Bytes) -> Self {
        let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
        let operation = match target {
            Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
            None => {
                let mut fields = form_urlencoded::parse(&body);
                fields.find(|(name, _)| name == "Action").map_or_else(String::new, |(_, it)| it.into_owned())
            }
        };
        Self { operation, body, is_dms: target.is_some() }
    }

    /// Whether it changes something.
    pub fn changes(&self) -> bool {
        !["Describe", "List"].iter().any(|reads| self.operation.starts_with(reads))
    }
}

/// What a service answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// What the service says, in its own form.
    pub body: String,
}

impl Answer {
    /// Whether the service has done what it was asked.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// What it says.
    pub fn text(&self) -> String {
        self.body.clone()
    }

    /// The answer of a service that speaks JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Hands a call over to its service.
pub type Deliver = Box<dyn FnOnce() -> Answer + Send>;

/// What lies between a caller and the services.
pub trait Way: fmt::Debug + Send + Sync {
    /// Leads a call to its service, or not, and its answer back; `None` closes the connection instead.
    fn lead(&self, call: Call, deliver: Deliver) -> BoxFuture<'static, Option<Answer>>;
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// It never arrives.
    Undone,
    /// It is carried out, and the answer is lost.
    Done,
    /// It is carried out, and the answer is an error of the service's own.
    Done500,
    /// It is carried out later than the caller waits.
    Late,
    /// It is one too many.
    Throttled,
}

impl Trouble {
    /// All that can happen to a call of which the caller can't tell whether it was carried out.
    pub const UNSURE: [Self; 4] = [Self::Undone, Self::Done, Self::Done500, Self::Late];

    /// Lets it happen.
    pub async fn befall(self, call: &Call, deliver: Deliver) -> Option<Answer> {
        match self {
            Self::Undone => None,
            Self::Done => {
                deliver();
                None
            }
            Self::Done500 => {
                deliver();
                Some(failure(call, StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"))
            }
            Self::Late => {
                // However the caller ends.
                tokio::spawn(async move {
                    sleep(LATE).await;
                    deliver();
                });
                std::future::pending().await
            }
            Self::Throttled if call.is_dms => {
                Some(failure(call, StatusCode::BAD_REQUEST, "ThrottlingException"))
            }
            Self::Throttled => Some(failure(call, StatusCode::BAD_REQUEST, "Throttling")),
        }
    }
}

/// Longer than the handlers wait for a call that changes something.
const LATE: Duration = Duration::from_secs(11);

/// An error in the service's own form.
fn failure(call: &Call, status: StatusCode, code: &str) -> Answer {
    let body = match call.is_dms {
        true => format!(r#"{{"__type":"{code}","message":"it was to fail"}}"#),
        false => format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"),
    };
    Answer { status, body }
}

/// The way on which chosen calls meet trouble, and all others go through.
#[derive(Clone, Debug, Default)]
pub struct Troubles(Arc<Mutex<Planned>>);

#[derive(Debug, Default)]
struct Planned {
    counts: BTreeMap<String, usize>,
    troubles: BTreeMap<(String, usize), Trouble>,
}

impl Troubles {
    /// The `number`th call of an operation from now on, counted from 1, is to meet this.
    pub fn plan(&self, operation: &str, number: usize, trouble: Trouble) {
        let mut planned = self.0.lock().unwrap();
        let before = planned.counts.get(operation).copied().unwrap_or_default();
        planned.troubles.insert((operation.to_owned(), before + number), trouble);
    }

    /// Whether something that was planned has not happened.
    pub fn is_waiting(&self) -> bool {
        !self.0.lock().unwrap().troubles.is_empty()
    }
}

impl Way for Troubles {
    fn lead(&self, call: Call, deliver: Deliver) -> BoxFuture<'static, Option<Answer>> {
        let mut planned = self.0.lock().unwrap();
        let count = planned.counts.entry(call.operation.clone()).or_default();
        *count += 1;
        let number = *count;
        match planned.troubles.remove(&(call.operation.clone(), number)) {
            Some(trouble) => Box::pin(async move { trouble.befall(&call, deliver).await }),
            None => Box::pin(async { Some(deliver()) }),
        }
    }
}

/// The two services, and the way to them.
#[derive(Clone, Debug)]
pub struct Aws {
    /// DMS.
    pub dms: Dms,
    /// CloudFormation, of which there is one stack.
    pub stack: Stack,
    way: Arc<dyn Way>,
}

impl Aws {
    /// Both services, with nothing on the way. The stack goes by DMS's clock from now on.
    pub fn new(dms: &Dms, stack: &Stack) -> Self {
        Self::behind(dms, stack, Troubles::default())
    }

    /// Both services behind this way.
    pub fn behind(dms: &Dms, stack: &Stack, way: impl Way + 'static) -> Self {
        stack.goes_by(dms.clock());
        Self { dms: dms.clone(), stack: stack.clone(), way: Arc::new(way) }
    }

    /// Sends a request on its way. What comes back; `None` where the connection closes instead.
    pub fn send(&self, headers: &HeaderMap, body: Bytes) -> BoxFuture<'static, Option<Answer>> {
        let call = Call::read(headers, body);
        let deliver: Deliver = {
            let (aws, call) = (self.clone(), call.clone());
            Box::new(move || match call.is_dms {
                true => aws.dms.answer(&call.operation, &call.body),
                false => aws.stack.answer(&call.body),
            })
        };
        self.way.lead(call, deliver)
    }
}
