//! A handler that does what its case says, and remembers what it was asked.

use std::future;
use std::panic::panic_any;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, anyhow, bail};
use custom_resource::{Attributes, Deadline, Request, Resource};
use serde::Deserialize;
use serde_json::Value;

/// The names that attributes have.
pub(crate) const NAMES: [&str; 3] = ["Size", "State", "Endpoint"];

/// What a handler does.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// It ends well, with these attributes.
    Succeeds(Vec<(&'static str, String)>),
    /// It fails, with these causes, the outermost first.
    Fails(Vec<String>),
    PanicsWithText(String),
    /// It panics with what is no text.
    PanicsWithANumber,
    /// A task that it started panics; it waits for that task, or doesn't.
    ItsTaskPanics {
        waits: bool,
    },
    NeverEnds,
    /// It never ends, and panics when it is given up.
    DiesHard,
    ConstructionFails(String),
    ConstructionPanics(String),
    ConstructionNeverEnds,
}

impl Behaviour {
    pub(crate) fn never_ends(&self) -> bool {
        matches!(self, Self::NeverEnds | Self::DiesHard | Self::ConstructionNeverEnds)
    }

    pub(crate) fn can_be_constructed(&self) -> bool {
        !matches!(
            self,
            Self::ConstructionFails(_) | Self::ConstructionPanics(_) | Self::ConstructionNeverEnds
        )
    }

    async fn construct(&self) -> anyhow::Result<()> {
        match self {
            Self::ConstructionFails(text) => bail!("{text}"),
            Self::ConstructionPanics(text) => panic!("{text}"),
            Self::ConstructionNeverEnds => future::pending().await,
            _ => Ok(()),
        }
    }

    async fn work(&self) -> anyhow::Result<Attributes> {
        match self {
            Self::Succeeds(attributes) => {
                Ok(attributes.iter().fold(Attributes::default(), |all, (name, value)| all.with(name, value)))
            }
            Self::Fails(causes) => {
                let mut causes = causes.iter().rev().cloned();
                let root = anyhow!(causes.next().unwrap_or_default());
                Err(causes.fold(root, anyhow::Error::context))
            }
            Self::PanicsWithText(text) => panic!("{text}"),
            Self::PanicsWithANumber => panic_any(7),
            Self::ItsTaskPanics { waits } => {
                let task = tokio::spawn(async { panic!("a task's own panic") });
                if *waits {
                    task.await.context("joining the task")?;
                }
                Ok(Attributes::default())
            }
            Self::DiesHard => {
                let _last_will = PanicsWhenDropped;
                future::pending().await
            }
            _ => future::pending().await,
        }
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped at work");
        }
    }
}

/// The properties: something of every shape that can be wrong.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it matters only whether they can be decoded")]
pub(crate) struct Properties {
    #[serde(deserialize_with = "custom_resource::scalar")]
    size: u16,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    nested: Nested,
    #[serde(default)]
    password: String,
}

#[derive(Debug, Default, Deserialize)]
enum Mode {
    #[default]
    Fast,
    Slow,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it matters only whether it can be decoded")]
struct Nested {
    on: bool,
}

/// What a handler was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Called {
    /// By CloudFormation: the type of the request, its ids (of stack, request, resource), the physical id.
    For(&'static str, [String; 3], String),
    /// By somebody else.
    Notified,
}

/// What was asked of one case's handler.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) constructed: usize,
    pub(crate) calls: Vec<Called>,
}

pub(crate) struct Handler {
    behaviour: Behaviour,
    calls: Arc<Mutex<Calls>>,
}

impl Handler {
    pub(crate) async fn construct(behaviour: &Behaviour, calls: &Arc<Mutex<Calls>>) -> anyhow::Result<Self> {
        calls.lock().unwrap().constructed += 1;
        behaviour.construct().await?;
        Ok(Self { behaviour: behaviour.clone(), calls: Arc::clone(calls) })
    }

    async fn work<P>(&self, kind: &'static str, request: Request<P>) -> anyhow::Result<Attributes> {
        let ids = [request.stack_id, request.request_id, request.logical_id];
        let called = Called::For(kind, ids, request.physical_id.to_string());
        self.calls.lock().unwrap().calls.push(called);
        self.behaviour.work().await
    }
}

impl Resource for Handler {
    type Properties = Properties;

    async fn create(&self, request: Request<Properties>) -> anyhow::Result<Attributes> {
        self.work("Create", request).await
    }

    async fn update(&self, request: Request<Properties>) -> anyhow::Result<Attributes> {
        self.work("Update", request).await
    }

    async fn delete(&self, request: Request<()>) -> anyhow::Result<()> {
        self.work("Delete", request).await.map(drop)
    }

    async fn notified(&self, _event: Value, _deadline: Deadline) -> anyhow::Result<Value> {
        self.calls.lock().unwrap().calls.push(Called::Notified);
        self.behaviour.work().await.map(|_| Value::Null)
    }
}
