//! A handler with side effects, and the world that it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::bail;
use custom_resource::{Attributes, Request, Resource};
use serde::Deserialize;

use crate::plan::{Attempt, Mishap, Point};

/// A hang ends this long after it began, if nothing ended it before.
const HANG: Duration = Duration::from_secs(10);

/// A stalled machine may let a timer fire late; nothing else may be late, and a hang that was not ended is later.
const STALL: Duration = Duration::from_secs(5);

/// What handlers make: in two steps, so that it can be half made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Thing {
    pub(crate) value: u32,
    pub(crate) is_whole: bool,
}

/// What all processes share: the things that were made, as a service would keep them, and what the test has to say.
#[derive(Debug, Default)]
pub(crate) struct World {
    things: Mutex<Things>,
    faults: Mutex<Vec<String>>,
}

/// By stack and logical id. Not by physical id: a Delete may come with one that CloudFormation made up.
#[derive(Debug, Default)]
struct Things {
    made: BTreeMap<String, Thing>,
    /// What a Delete has been asked for, and nothing may make any more.
    gone: BTreeSet<String>,
    /// The physical ids that Creates were given.
    ids: BTreeSet<String>,
}

impl World {
    pub(crate) fn fault(&self, fault: String) {
        self.faults.lock().unwrap().push(fault);
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    /// All that is made.
    pub(crate) fn made(&self) -> Vec<Thing> {
        self.things.lock().unwrap().made.values().copied().collect()
    }

    /// The physical ids that Creates were given.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.things.lock().unwrap().ids.clone()
    }

    /// No older request can be delivered any more, unless it is stale by now.
    pub(crate) fn an_hour_passes(&self) {
        self.things.lock().unwrap().gone.clear();
    }

    /// Makes half of a thing, or all of it. The look at whether it is gone and the making are one transaction.
    fn make(&self, key: &str, value: u32, is_whole: bool) -> anyhow::Result<()> {
        let mut things = self.things.lock().unwrap();
        if things.gone.contains(key) {
            crate::saw("a request that its Delete overtook, refused by the world");
            bail!("it was deleted meanwhile");
        }
        let thing = things.made.entry(key.to_owned());
        let thing = thing.or_insert(Thing { value, is_whole });
        // Another delivery of the same request may have come further.
        let is_whole = is_whole || (thing.is_whole && thing.value == value);
        *thing = Thing { value, is_whole };
        Ok(())
    }
}

tokio::task_local! {
    /// The invocation that runs.
    pub(crate) static CALL: Arc<Call>;
}

/// One invocation, as the handler finds it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) world: Arc<World>,
    pub(crate) attempt: Attempt,
    pub(crate) is_listened_to: bool,
    /// When Lambda kills the process.
    pub(crate) ends: SystemTime,
    /// Whether the handler was called.
    pub(crate) entered: AtomicBool,
}

impl Call {
    fn enter<P>(&self, request: &Request<P>) -> String {
        self.entered.store(true, Ordering::Relaxed);
        self.note("was begun");
        format!("{} {}", request.stack_id, request.logical_id)
    }

    /// Looks whether now is a time for side effects.
    fn note(&self, what: &str) {
        if !self.is_listened_to {
            self.world.fault(format!("work {what} for a request that nobody waits for"));
        }
        if SystemTime::now() > self.ends + STALL {
            self.world.fault(format!("work {what} after the function's deadline"));
        }
    }

    async fn pause(&self, at: Point) -> anyhow::Result<()> {
        match self.attempt.pace_ms {
            0 => tokio::task::yield_now().await,
            pace => tokio::time::sleep(Duration::from_millis(pace.into())).await,
        }
        match self.attempt.mishap {
            Some(Mishap::Error(point)) if point == at => bail!("no room"),
            // Without the hook, which would print.
            Some(Mishap::Panic(point)) if point == at => {
                std::panic::resume_unwind(Box::new("index 7 is out of bounds"))
            }
            Some(Mishap::Hang(point)) if point == at => {
                crate::saw("work that hung");
                tokio::time::sleep(HANG).await;
            }
            _ => {}
        }
        Ok(())
    }

    async fn make(&self, request: Request<Properties>) -> anyhow::Result<Attributes> {
        let (key, value) = (self.enter(&request), request.properties.value);
        self.pause(Point::Before).await?;
        self.note("went on");
        self.world.make(&key, value, false)?;
        self.pause(Point::Midway).await?;
        self.note("went on");
        self.world.make(&key, value, true)?;
        self.pause(Point::After).await?;
        Ok(Attributes::default().with("Value", value))
    }

    async fn unmake(&self, request: Request<()>) -> anyhow::Result<()> {
        let key = self.enter(&request);
        self.pause(Point::Before).await?;
        self.note("went on");
        self.world.things.lock().unwrap().gone.insert(key.clone());
        self.pause(Point::Midway).await?;
        self.note("went on");
        self.world.things.lock().unwrap().made.remove(&key);
        self.pause(Point::After).await
    }
}

/// Makes the handler.
pub(crate) async fn construct() -> anyhow::Result<Handler> {
    let call = CALL.get();
    tokio::task::yield_now().await;
    if call.attempt.mishap == Some(Mishap::Construction) {
        bail!("no region");
    }
    Ok(Handler)
}

#[derive(Debug)]
pub(crate) struct Handler;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Properties {
    #[serde(deserialize_with = "custom_resource::scalar")]
    value: u32,
}

impl Resource for Handler {
    type Properties = Properties;

    async fn create(&self, request: Request<Properties>) -> anyhow::Result<Attributes> {
        let call = CALL.get();
        let id = request.physical_id.to_string();
        call.world.things.lock().unwrap().ids.insert(id);
        call.make(request).await
    }

    async fn update(&self, request: Request<Properties>) -> anyhow::Result<Attributes> {
        CALL.get().make(request).await
    }

    async fn delete(&self, request: Request<()>) -> anyhow::Result<()> {
        CALL.get().unmake(request).await
    }
}
