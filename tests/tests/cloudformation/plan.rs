//! What is to happen: the lives of one resource, with everything that goes wrong in them.

use proptest::prelude::*;
use proptest::{bool, collection, option};

/// The resource in the stack, from its Create to the Delete after which nothing may be left.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) create: Plan,
    /// The properties of the Create can't be decoded.
    pub(crate) malformed: bool,
    /// Another resource fails this many milliseconds after the Create was sent, and CloudFormation cancels it.
    pub(crate) cancelled_after_ms: Option<u8>,
    /// CloudFormation deletes what failed by an id that it made up, whatever id the answer gave.
    pub(crate) own_id: bool,
    pub(crate) changes: Vec<Change>,
    /// Deletes that may fail. One more that can't fail comes after them.
    pub(crate) deletes: Vec<Plan>,
}

/// An update of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) forth: Plan,
    pub(crate) malformed: bool,
    /// The Update itself succeeds, but another resource fails: it is rolled back all the same.
    pub(crate) fails_elsewhere: bool,
    pub(crate) back: Plan,
}

/// One request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) signed: Signed,
    pub(crate) delivery: Delivery,
    /// Lambda delivers at least once.
    pub(crate) duplicates: Vec<(When, Delivery)>,
    /// The event comes once more when nobody listens any more: its URL is this old by then.
    pub(crate) late: Option<Signed>,
    /// So often the callback says 503 first.
    pub(crate) busy: u8,
    /// CloudFormation goes on as soon as it has heard, with other deliveries of the request still at work.
    pub(crate) impatient: bool,
}

/// When a duplicate comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// Milliseconds after the first delivery.
    Ms(u8),
    /// After the resource's last Delete, while its request is still young enough to be listened to.
    Afterwards,
}

/// The dates in a response URL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed {
    pub(crate) seconds_ago: u16,
    pub(crate) expires: u16,
}

/// What every resource's `ServiceTimeout` is, in seconds.
const SERVICE_TIMEOUT: u16 = 960;

impl Signed {
    /// Whether CloudFormation still listens, and will until the end of the test.
    pub(crate) fn is_listened_to(self) -> bool {
        self.seconds_ago < SERVICE_TIMEOUT.min(self.expires)
    }
}

impl Default for Signed {
    fn default() -> Self {
        Self { seconds_ago: 0, expires: 7200 }
    }
}

/// One delivery of an event: Lambda's attempts, until one does not end in a function error. None if the event grows too
/// old before a container is free.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) attempts: Vec<Attempt>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { attempts: vec![Attempt::default()] }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    pub(crate) mishap: Option<Mishap>,
    /// The process is gone before the guard's future is polled once more than this.
    pub(crate) dies_after_polls: Option<u8>,
    /// Milliseconds that each of the handler's pauses takes.
    pub(crate) pace_ms: u8,
    /// Lambda grants so little time that a busy callback can't be tried twice.
    pub(crate) hurried: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mishap {
    /// The handler can't be made.
    Construction,
    Error(Point),
    Panic(Point),
    /// It hangs until long after its deadline, and then goes on as if nothing were.
    Hang(Point),
}

/// Where in the handler's work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Point {
    Before,
    Midway,
    After,
}

/// One or two lives of the same logical id in the same stack.
pub(crate) fn lives() -> impl Strategy<Value = Vec<Life>> {
    collection::vec(life(), 1..=2)
}

fn life() -> impl Strategy<Value = Life> {
    (
        plan().prop_map(with_honest_marker),
        bool::weighted(0.1),
        option::weighted(0.2, 0..12_u8),
        any::<bool>(),
        collection::vec(change(), 0..3),
        collection::vec(plan(), 0..2),
    )
        .prop_map(|(create, malformed, cancelled_after_ms, own_id, changes, deletes)| Life {
            create,
            malformed,
            cancelled_after_ms,
            own_id,
            changes,
            deletes,
        })
}

fn change() -> impl Strategy<Value = Change> {
    (plan(), bool::weighted(0.1), bool::weighted(0.3), plan()).prop_map(
        |(forth, malformed, fails_elsewhere, back)| Change { forth, malformed, fails_elsewhere, back },
    )
}

/// See the test's documentation: a construction that fails in one process and not in another is left out for a Create.
fn with_honest_marker(mut create: Plan) -> Plan {
    let deliveries = create.duplicates.iter_mut().map(|(_, delivery)| delivery);
    let mut attempts: Vec<&mut Attempt> =
        deliveries.chain([&mut create.delivery]).flat_map(|delivery| &mut delivery.attempts).collect();
    if attempts.len() > 1 {
        for attempt in &mut attempts {
            attempt.mishap.take_if(|mishap| *mishap == Mishap::Construction);
        }
    }
    create
}

fn plan() -> impl Strategy<Value = Plan> {
    let when = prop_oneof![
        3 => (0..12_u8).prop_map(When::Ms),
        1 => Just(When::Afterwards),
    ];
    let duplicates = prop_oneof![
        3 => Just(vec![]),
        1 => collection::vec((when, delivery()), 1..=2),
    ];
    let signed = prop_oneof![14 => listened_to(), 1 => stale()];
    let busy = prop_oneof![8 => Just(0_u8), 1 => Just(1)];
    (signed, delivery(), duplicates, option::weighted(0.25, stale()), busy, bool::weighted(0.3)).prop_map(
        |(signed, delivery, duplicates, late, busy, impatient)| Plan {
            signed,
            delivery,
            duplicates,
            late,
            busy,
            impatient,
        },
    )
}

fn listened_to() -> impl Strategy<Value = Signed> {
    (0..800_u16).prop_map(|seconds_ago| Signed { seconds_ago, expires: 7200 })
}

/// Nobody listens: the resource's time is over, or the URL's.
fn stale() -> impl Strategy<Value = Signed> {
    let over = (SERVICE_TIMEOUT..7000).prop_map(|seconds_ago| (seconds_ago, 7200));
    let expired = (300..800_u16).prop_map(|seconds_ago| (seconds_ago, 300));
    prop_oneof![over, expired].prop_map(|(seconds_ago, expires)| Signed { seconds_ago, expires })
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        10 => collection::vec(attempt(), 1),
        1 => collection::vec(attempt(), 2..=3),
        1 => Just(vec![]),
    ]
    .prop_map(|attempts| Delivery { attempts })
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let point = prop_oneof![Just(Point::Before), Just(Point::Midway), Just(Point::After)];
    let mishap = prop_oneof![
        12 => Just(None),
        3 => point.clone().prop_map(|point| Some(Mishap::Error(point))),
        2 => point.clone().prop_map(|point| Some(Mishap::Panic(point))),
        1 => point.prop_map(|point| Some(Mishap::Hang(point))),
        1 => Just(Some(Mishap::Construction)),
    ];
    (mishap, option::weighted(0.15, 0..20_u8), 0..4_u8, bool::weighted(0.1)).prop_map(
        |(mishap, dies_after_polls, pace_ms, hurried)| Attempt { mishap, dies_after_polls, pace_ms, hurried },
    )
}
