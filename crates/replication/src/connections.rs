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

/// For how long after a test was asked for the result of an earlier one may still be reported.
const LAG: Duration = Duration::from_secs(20);

/// What is known of the connections of one run.
#[derive(Default)]
pub(crate) struct Connections {
    /// When we asked for a test, and whether it was seen at work since.
    asked: HashMap<Route, (Instant, bool)>,
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
        let mut readiness = HashMap::new();
        for route in tasks.iter().flat_map(routes) {
            if !readiness.contains_key(&route) {
                let ready = self.route(dms, &route, found.get(&route)).await?;
                readiness.insert(route, ready);
            }
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
            self.test(dms, &route).await?;
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
        if status == "testing"
            && let Some((_, seen)) = self.asked.get_mut(route)
        {
            *seen = true;
        }
        match (status, self.asked.get(route)) {
            // What was successful before we asked again may be what DMS has just forgotten.
            ("successful", Some((at, false))) if at.elapsed() < LAG => Ok(Readiness::Testing),
            ("successful", _) => Ok(Readiness::Ready),
            ("testing", _) => Ok(Readiness::Testing),
            ("failed", Some((at, seen))) if *seen || at.elapsed() >= LAG => {
                let why = connection.and_then(|connection| connection.last_failure.as_deref());
                Ok(Readiness::Failed(format!(
                    "the connection test of endpoint {} failed: {}",
                    route.0,
                    why.unwrap_or("(no message)")
                )))
            }
            ("failed" | "", Some((at, _))) if at.elapsed() < LAG => Ok(Readiness::Testing),
            _ => self.test(dms, route).await,
        }
    }

    async fn test<T: Tasks>(&mut self, dms: &T, route: &Route) -> anyhow::Result<Readiness> {
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
        self.asked.insert(route.clone(), (Instant::now(), false));
        Ok(Readiness::Testing)
    }
}

fn routes(task: &Task) -> [Route; 2] {
    [
        (task.source.clone(), task.instance.clone()),
        (task.target.clone(), task.instance.clone()),
    ]
}
