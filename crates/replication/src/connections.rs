//! The connection tests that DMS wants before it starts a task.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;
use tracing::info;

use crate::task::{Arn, Task};
use crate::tasks::{Connection, Tasks, TasksError};

/// An endpoint and the instance it is reached from.
type Route = (Arn, Arn);

/// For how long after a test was asked for the result of an earlier one may still be reported, if it looks the same.
const LAG: Duration = Duration::from_secs(20);

/// What is known of the connections of one run.
#[derive(Default)]
pub(crate) struct Connections {
    asked: HashMap<Route, Asked>,
}

/// A test that we asked for.
struct Asked {
    at: Instant,
    /// The connection's status before: while DMS reports the same, it may be the old one.
    before: String,
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
    pub(crate) async fn check<T: Tasks>(
        &mut self,
        dms: &T,
        tasks: &[Task],
    ) -> anyhow::Result<Vec<Readiness>> {
        let endpoints: BTreeSet<&Arn> = tasks
            .iter()
            .flat_map(|task| [&task.source, &task.target])
            .collect();
        let endpoints: Vec<Arn> = endpoints.into_iter().cloned().collect();
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let found = dms
            .connections(&endpoints)
            .await
            .context("reading the connections of the endpoints")?;
        let found: HashMap<Route, Connection> = found
            .into_iter()
            .map(|it| ((it.endpoint.clone(), it.instance.clone()), it))
            .collect();
        let wanted: BTreeSet<Route> = tasks.iter().flat_map(routes).collect();
        let mut readiness = HashMap::new();
        for route in wanted {
            let ready = self.route(dms, &route, found.get(&route)).await?;
            readiness.insert(route, ready);
        }
        let worst = |task: &Task| {
            let both = routes(task)
                .map(|route| readiness.get(&route).cloned().unwrap_or(Readiness::Testing));
            let [source, target] = both;
            match (source, target) {
                (Readiness::Failed(why), _) | (_, Readiness::Failed(why)) => Readiness::Failed(why),
                (Readiness::Ready, Readiness::Ready) => Readiness::Ready,
                _ => Readiness::Testing,
            }
        };
        Ok(tasks.iter().map(worst).collect())
    }

    /// Forgets that a task's connections were tested: DMS says that they are not.
    pub(crate) async fn test_again<T: Tasks>(
        &mut self,
        dms: &T,
        task: &Task,
    ) -> anyhow::Result<()> {
        for route in routes(task) {
            self.test(dms, &route, "successful").await?;
        }
        Ok(())
    }

    async fn route<T: Tasks>(
        &mut self,
        dms: &T,
        route: &Route,
        connection: Option<&Connection>,
    ) -> anyhow::Result<Readiness> {
        let status = connection.map_or("", |connection| connection.status.as_str());
        let asked = self.asked.get_mut(route);
        let is_result = asked.is_none_or(|asked| {
            asked.moved |= status != asked.before;
            asked.moved || asked.at.elapsed() >= LAG
        });
        let has_asked = self.asked.contains_key(route);
        match status {
            "testing" => Ok(Readiness::Testing),
            "successful" if is_result => Ok(Readiness::Ready),
            "failed" if is_result && has_asked => {
                let why = connection
                    .and_then(|connection| connection.last_failure.as_deref())
                    .unwrap_or("(no message)");
                Ok(Readiness::Failed(format!(
                    "the connection test of endpoint {} failed: {why}",
                    route.0
                )))
            }
            // A failure of the past is worth another test.
            _ if !has_asked || is_result => self.test(dms, route, status).await,
            _ => Ok(Readiness::Testing),
        }
    }

    async fn test<T: Tasks>(
        &mut self,
        dms: &T,
        route: &Route,
        before: &str,
    ) -> anyhow::Result<Readiness> {
        let (endpoint, instance) = route;
        match dms.test_connection(endpoint, instance).await {
            Ok(()) => info!("testing the connection of endpoint {endpoint}"),
            // Somebody tests it already.
            Err(TasksError::InvalidState(_)) => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("testing the connection of endpoint {endpoint}"));
            }
        }
        let before = before.to_owned();
        self.asked.insert(
            route.clone(),
            Asked {
                at: Instant::now(),
                before,
                moved: false,
            },
        );
        Ok(Readiness::Testing)
    }
}

fn routes(task: &Task) -> [Route; 2] {
    [
        (task.source.clone(), task.instance.clone()),
        (task.target.clone(), task.instance.clone()),
    ]
}
