//! The connection tests that DMS wants before it starts a task. (assumption: connection-tests)

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context;
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio::time::Instant;
use tracing::info;

use super::{Connection, Dms, Sent};
use crate::look::Operation;
use crate::settle::CONCURRENCY;
use crate::task::{Arn, Task};

/// An endpoint and the instance it is reached from.
type Route = (Arn, Arn);

/// For how long after a test was asked for the result of an earlier one may still be reported, if it looks the same.
const LAG: Duration = Duration::from_secs(20);

/// What is known of the connections of one run.
#[derive(Default)]
pub(crate) struct Connections {
    asked: HashMap<Route, Asked>,
    /// Those whose test is to be made once more.
    doubted: BTreeSet<Route>,
}

/// A test that we asked for.
struct Asked {
    at: Instant,
    /// The connection's status before: while DMS reports the same, it may be the old one.
    before: String,
    /// Whether DMS may be making it. It makes none while the instance is being modified.
    taken: bool,
    /// Whether another status was seen since.
    moved: bool,
}

/// Whether a task may be started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Readiness {
    /// Both connections are tested.
    Ready,
    /// A test is at work.
    Testing,
    /// A test failed: which, and why.
    Failed(String),
}

impl Connections {
    /// Reads the connections of these tasks, once for all, and has those tested that aren't: for each task, whether it may
    /// be started.
    ///
    /// # Errors
    /// If the connections can't be read, or the operation on the stack isn't what it was.
    pub(crate) async fn check(
        &mut self,
        dms: &Dms,
        operation: &Operation,
        tasks: &[Task],
    ) -> anyhow::Result<Vec<Readiness>> {
        let endpoints: BTreeSet<&Arn> = tasks.iter().flat_map(|task| [&task.source, &task.target]).collect();
        let endpoints: Vec<Arn> = endpoints.into_iter().cloned().collect();
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let found = dms.connections(&endpoints).await.context("reading the connections of the endpoints")?;
        let found: HashMap<Route, Connection> =
            found.into_iter().map(|it| ((it.endpoint.clone(), it.instance.clone()), it)).collect();
        let mut readiness = HashMap::new();
        let mut untested = Vec::new();
        for route in tasks.iter().flat_map(routes).collect::<BTreeSet<Route>>() {
            match self.result(&route, found.get(&route)) {
                Some(result) => drop(readiness.insert(route, result)),
                None => {
                    let status = found.get(&route).map(|it| it.status.clone());
                    untested.push((route, status.unwrap_or_default()));
                }
            }
        }
        readiness.extend(self.test(dms, operation, untested).await?);
        let worst = |task: &Task| {
            let both = routes(task).map(|route| readiness.get(&route).cloned().unwrap_or(Readiness::Testing));
            let [source, target] = both;
            match (source, target) {
                (Readiness::Failed(why), _) | (_, Readiness::Failed(why)) => Readiness::Failed(why),
                (Readiness::Ready, Readiness::Ready) => Readiness::Ready,
                _ => Readiness::Testing,
            }
        };
        Ok(tasks.iter().map(worst).collect())
    }

    /// DMS refuses to start this task for want of tests, whatever it reports: they are to be made once more.
    pub(crate) fn doubt(&mut self, task: &Task) {
        self.doubted.extend(routes(task));
    }

    /// What DMS reports of a connection, as far as it is the present state; `None` if it has to be tested.
    fn result(&mut self, route: &Route, connection: Option<&Connection>) -> Option<Readiness> {
        let status = connection.map_or("", |connection| connection.status.as_str());
        let asked = self.asked.get_mut(route);
        let has_asked = asked.is_some();
        let is_ours = asked.as_ref().is_some_and(|asked| asked.taken);
        let is_result = asked.is_none_or(|asked| {
            asked.moved |= status != asked.before;
            asked.moved || asked.at.elapsed() >= LAG
        });
        match status {
            "testing" => Some(Readiness::Testing),
            _ if self.doubted.contains(route) => None,
            "successful" if is_result => Some(Readiness::Ready),
            "failed" if is_result && is_ours => {
                let why = connection
                    .and_then(|connection| connection.last_failure.as_deref())
                    .unwrap_or("(no message)");
                Some(Readiness::Failed(format!("the connection test of endpoint {} failed: {why}", route.0)))
            }
            // A failure of the past is worth another test.
            _ if !has_asked || is_result => None,
            _ => Some(Readiness::Testing),
        }
    }

    /// Asks for tests, with the statuses that DMS reported before.
    async fn test(
        &mut self,
        dms: &Dms,
        operation: &Operation,
        untested: Vec<(Route, String)>,
    ) -> anyhow::Result<Vec<(Route, Readiness)>> {
        let tests = untested.into_iter().map(|(route, before)| async move {
            let sent = operation.send(|| dms.test_connection(&route.0, &route.1)).await?;
            anyhow::Ok((route, before, sent))
        });
        let tests: Vec<_> = tests.collect();
        let tests: Vec<_> = iter(tests).buffer_unordered(CONCURRENCY).try_collect().await?;
        let mut readiness = Vec::new();
        for (route, before, sent) in tests {
            let endpoint = &route.0;
            let taken = matches!(sent, Sent::Taken | Sent::Unsure(_));
            let now = match sent {
                Sent::Taken => {
                    info!("testing the connection of endpoint {endpoint}");
                    Readiness::Testing
                }
                // Somebody tests it already, or the instance is not available.
                Sent::NotNow(_) | Sent::Unsure(_) | Sent::Throttled => Readiness::Testing,
                Sent::NotFound => Readiness::Failed(format!("DMS does not know endpoint {endpoint}")),
                Sent::WrongStart(why) => Readiness::Failed(format!("testing endpoint {endpoint}: {why}")),
                Sent::Denied(error) => Readiness::Failed(format!("testing endpoint {endpoint}: {error:#}")),
            };
            self.doubted.remove(&route);
            self.asked.insert(route.clone(), Asked { at: Instant::now(), before, taken, moved: false });
            readiness.push((route, now));
        }
        Ok(readiness)
    }
}

fn routes(task: &Task) -> [Route; 2] {
    [(task.source.clone(), task.instance.clone()), (task.target.clone(), task.instance.clone())]
}
