//! How many AWS calls a request takes.

use std::collections::BTreeMap;

use stage::dms::Pace;
use stage::dms::TaskStatus;

use crate::errand::{self, TIME};
use crate::scene::Scene;

/// Calls for one request, by operation.
pub(crate) struct Calls {
    pub(crate) what: &'static str,
    /// How many there are in the stack, if the function has to do with tasks.
    pub(crate) tasks: Option<usize>,
    pub(crate) calls: BTreeMap<String, usize>,
}

/// Counts the calls for each kind of request, where DMS does everything at once.
pub(crate) async fn all() -> anyhow::Result<Vec<Calls>> {
    let mut all = Vec::new();
    for errand in errand::ALL {
        for tasks in [1, 10] {
            let scene = errand.scene(Pace::immediate(), tasks).await?;
            let before = scene.calls();
            errand.run(&scene).await?;
            all.push(Calls { what: errand.what, tasks: Some(tasks), calls: since(&before, scene.calls()) });
        }
    }
    all.extend(of_a_database().await?);
    Ok(all)
}

/// The calls of db-init, with a user for DMS as in the template.
async fn of_a_database() -> anyhow::Result<Vec<Calls>> {
    let scene = Scene::new(Pace::immediate(), 0, TaskStatus::Running, false).await?;
    let scene = scene.with_database().await?;
    let function = scene.start("db-init").await?;
    let mut all = Vec::new();
    for (what, kind, migrations) in [
        ("db-init, Create", "Create", 1),
        ("db-init, Update, nothing changes", "Update", 1),
        ("db-init, Update, a migration is new", "Update", 2),
        ("db-init, Delete", "Delete", 2),
    ] {
        let before = scene.calls();
        let event = scene.request(kind, "DbInit", &scene.database(migrations));
        scene.succeed(&function, event, TIME).await?;
        all.push(Calls { what, tasks: None, calls: since(&before, scene.calls()) });
    }
    function.end().await;
    Ok(all)
}

fn since(before: &BTreeMap<String, usize>, mut now: BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    for (operation, count) in before {
        if let Some(all) = now.get_mut(operation) {
            *all -= count;
        }
    }
    now.retain(|_, count| *count > 0);
    now
}
