//! One case: an event, a handler and a callback.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Config, Context};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use stage::callback::{Callback, Reply, SIGNATURE, signed};

use super::event::{self, URL, text};
use super::handler::{Behaviour, NAMES};

/// Everything that decides what happens, less the callback's port and the time of day.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What Lambda hands over, with [`URL`] in place of the URL.
    pub(crate) event: Value,
    pub(crate) behaviour: Behaviour,
    pub(crate) place: Place,
    pub(crate) replies: Vec<Reply>,
    /// Whether Lambda's deadline has passed before anything begins.
    pub(crate) is_late: bool,
    pub(crate) log_group: String,
}

/// What the URL says.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// One that can be used.
    Url {
        path: String,
        query: String,
        /// For how many seconds it has been signed; `None` if it doesn't tell.
        age: Option<u64>,
        expires: Option<u64>,
        /// Whether anybody is at home.
        is_open: bool,
    },
    /// A text that is none.
    Nowhere(String),
}

impl Case {
    /// The URL of the case with this number.
    pub(crate) fn url(&self, callback: &Callback, number: usize) -> String {
        let (path, query, age, expires, is_open) = match &self.place {
            Place::Nowhere(text) => return text.clone(),
            Place::Url { path, query, age, expires, is_open } => (path, query, age, expires, is_open),
        };
        let signed = signed(age.map(Duration::from_secs), *expires);
        let endpoint = if *is_open { callback.endpoint() } else { callback.nobody() };
        format!("{endpoint}/{number}/{path}?{query}{signed}")
    }

    /// The event with the URL in it.
    pub(crate) fn event(&self, url: &str) -> Value {
        fn fill(event: &mut Value, url: &str) {
            if let Some(place) = event.get_mut("ResponseURL").filter(|place| **place == URL) {
                *place = url.into();
            }
        }
        let mut event = self.event.clone();
        fill(&mut event, url);
        if let Some(request) = event.get_mut("requestPayload") {
            fill(request, url);
        }
        event
    }

    /// What Lambda grants: little where the work or the sending uses all of it.
    pub(crate) fn time(&self) -> Duration {
        let is_open = matches!(self.place, Place::Url { is_open: true, .. });
        let is_taken = self.replies.iter().any(Reply::is_accepted) || self.replies.len() < 6;
        if self.is_late {
            Duration::ZERO
        } else if self.behaviour.never_ends() {
            Duration::from_secs(8)
        } else if is_open && is_taken {
            Duration::from_mins(1)
        } else {
            Duration::from_millis(1500)
        }
    }
}

/// What Lambda says beside an event, where it grants so much time.
pub(crate) fn context(time: Duration, log_group: &str) -> Context {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
    let config = Config { log_group: log_group.to_owned(), ..Config::default() };
    let mut context = Context::default();
    context.request_id = "lambda-1".to_owned();
    context.deadline = u64::try_from(end.as_millis()).unwrap();
    context.env_config = config.into();
    context
}

/// Any case.
pub(crate) fn cases() -> BoxedStrategy<Case> {
    let late = prop_oneof![99 => Just(false), 1 => Just(true)];
    let group = prop_oneof![Just("/aws/lambda/it".to_owned()), Just("g".repeat(512))];
    (event::events(), behaviour(), place(), replies(), late, group)
        .prop_map(|(event, behaviour, place, replies, is_late, log_group)| Case {
            event,
            behaviour,
            place,
            replies,
            is_late,
            log_group,
        })
        .boxed()
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let attribute = (select(&NAMES[..]), long_text());
    prop_oneof![
        40 => vec(attribute, 0..4).prop_map(Behaviour::Succeeds),
        25 => vec(long_text(), 1..4).prop_map(Behaviour::Fails),
        8 => long_text().prop_map(Behaviour::PanicsWithText),
        2 => Just(Behaviour::PanicsWithANumber),
        5 => any::<bool>().prop_map(|waits| Behaviour::ItsTaskPanics { waits }),
        1 => Just(Behaviour::NeverEnds),
        1 => Just(Behaviour::DiesHard),
        4 => long_text().prop_map(Behaviour::ConstructionFails),
        4 => long_text().prop_map(Behaviour::ConstructionPanics),
        1 => Just(Behaviour::ConstructionNeverEnds),
    ]
}

/// Text that may be too long for an answer, whether it is escaped in JSON or not.
fn long_text() -> impl Strategy<Value = String> {
    let filling = select(&["\0", "\"", "\\", "\u{7f}", "\u{fffe}", "🦀", "ü", "x"][..]);
    let long =
        (text(), filling, 0..10_000_usize).prop_map(|(head, filling, times)| head + &filling.repeat(times));
    prop_oneof![3 => text(), 1 => long]
}

fn place() -> impl Strategy<Value = Place> {
    let odd = select(&b"azAZ09-._~!$'()*+,;=:@/"[..]).prop_map(|c| char::from(c).to_string());
    let encoded = any::<u8>().prop_map(|byte| format!("%{byte:02x}"));
    let encoded_upper = any::<u8>().prop_map(|byte| format!("%{byte:02X}"));
    let piece = prop_oneof![4 => odd, 1 => encoded, 1 => encoded_upper].boxed();
    let path = vec(piece.clone(), 0..30).prop_map(|pieces| pieces.concat());
    let query = vec(piece, 0..12).prop_map(|pieces| match pieces.concat() {
        none if none.is_empty() => none,
        some => some + "&",
    });
    let age = prop_oneof![
        8 => Just(Some(2)),
        1 => (0..9000_u64).prop_map(Some),
        1 => Just(None),
    ];
    let expires = prop_oneof![8 => Just(Some(7200)), 1 => (1..8000_u64).prop_map(Some), 1 => Just(None)];
    let is_open = prop_oneof![99 => Just(true), 1 => Just(false)];
    let url = (path, query, age, expires, is_open)
        .prop_map(|(path, query, age, expires, is_open)| Place::Url { path, query, age, expires, is_open });
    let secret = format!("?{SIGNATURE}");
    let nowhere = prop_oneof![
        text(),
        text().prop_map(move |text| format!("/{text}{secret}")),
        select(&["ftp://127.0.0.1/", "http://", "https://?", "//127.0.0.1", "mailto:x@y"][..])
            .prop_map(|start| format!("{start}{SIGNATURE}")),
    ];
    prop_oneof![40 => url, 1 => nowhere.prop_map(Place::Nowhere)]
}

fn replies() -> impl Strategy<Value = Vec<Reply>> {
    let reply = |statuses: &'static [u16], delay: std::ops::Range<u64>| {
        (select(statuses), delay)
            .prop_map(|(status, delay)| Reply { status, delay: Duration::from_millis(delay) })
    };
    let taken = reply(&[200, 201, 204], 0..300).boxed();
    let busy = reply(&[408, 429, 500, 502, 503, 504], 0..100).boxed();
    let refused = reply(&[301, 303, 304, 307, 308, 400, 403, 404, 410, 418], 0..50).boxed();
    let any = prop_oneof![taken.clone(), busy.clone(), refused.clone()];
    prop_oneof![
        88 => Just(vec![]),
        3 => taken.prop_map(|reply| vec![reply]),
        4 => vec(busy.clone(), 1..6),
        2 => refused.prop_map(|reply| vec![reply]),
        2 => vec(any, 1..4),
        1 => vec(busy, 7),
    ]
}
