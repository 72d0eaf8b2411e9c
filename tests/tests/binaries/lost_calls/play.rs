//! What is played, from its beginning to its end.

use std::collections::BTreeSet;

use serde_json::json;

use super::world::World;
use super::{Fate, Hitch, Step};

/// What happens to a stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Play {
    /// An update that changes its tasks.
    Update,
    /// The same, and a task's own update fails, so that nobody calls dms-post but for healing.
    Rollback,
    /// Its end.
    Delete,
}

impl Play {
    pub(super) const ALL: [Self; 3] = [Self::Update, Self::Rollback, Self::Delete];

    /// Whether something happens to the calls of this step in this play. Another play has the same step.
    pub(super) fn hitches_in(self, step: Step) -> bool {
        !matches!((self, step), (Self::Rollback, Step::Pause))
    }

    /// How often each step changes something, where nothing happens to it.
    pub(super) fn changes(self) -> BTreeSet<(Step, &'static str, usize)> {
        let pause = [(Step::Pause, "AddTagsToResource", 2), (Step::Pause, "StopReplicationTask", 2)];
        // Of two tasks one has lost its mark.
        let runs = |step| {
            [
                (step, "AddTagsToResource", 1),
                (step, "StartReplicationTask", 2),
                (step, "RemoveTagsFromResource", 2),
            ]
        };
        match self {
            Self::Update => pause.into_iter().chain(runs(Step::Run)).collect(),
            Self::Rollback => pause.into_iter().chain(runs(Step::Heal)).collect(),
            Self::Delete => [(Step::Delete, "StopReplicationTask", 3)].into(),
        }
    }

    /// Plays it, with at most one hitch.
    pub(super) async fn with(self, hitch: Option<Hitch>) -> World {
        let mut world = World::new(hitch).await;
        match self {
            Self::Update => update(&mut world).await,
            Self::Rollback => rollback(&mut world).await,
            Self::Delete => delete(&mut world).await,
        }
        world.settles().await;
        match self {
            Self::Update | Self::Rollback => world.runs_as_before(),
            Self::Delete => world.rests(),
        }
        world
    }
}

async fn update(world: &mut World) {
    // It is not known whether DMS does. With that and a lost mark, only dms-post knows what was paused.
    if world.fate() != Some(Fate::Refused) {
        world.dms.moves_dates();
    }
    world.begins();
    let Some(revision) = world.pause(Step::Pause, "7").await else { return fails(world).await };
    changes(world).await;
    world.post_is("UPDATE_IN_PROGRESS");
    let after = json!({ "After": revision });
    let Some(data) = world.ask(Step::Run, "DmsPost", "Update", &after).await else {
        return fails(world).await;
    };
    world.expects(data["RunningTasks"] == "3", format!("dms-post counts {data}"));
    world.post_is("UPDATE_COMPLETE");
    world.ends("UPDATE_COMPLETE").await;
}

async fn rollback(world: &mut World) {
    world.begins();
    if world.pause(Step::Pause, "7").await.is_none() {
        return fails(world).await;
    }
    changes(world).await;
    world.stack.execution_is("EXECUTE_FAILED");
    world.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    match world.pause(Step::PauseInRollback, "6").await {
        Some(_) => world.ends("UPDATE_ROLLBACK_COMPLETE").await,
        None => {
            world.stack.becomes("UPDATE_ROLLBACK_FAILED");
            world.heal().await;
        }
    }
}

async fn delete(world: &mut World) {
    world.stack.becomes("DELETE_IN_PROGRESS");
    world.post_is("DELETE_IN_PROGRESS");
    let deleted = world.ask(Step::Delete, "DmsPost", "Delete", &json!({ "After": "r-1-0" })).await;
    world.expects(deleted.is_some(), "the Delete failed");
}

/// CloudFormation changes the tasks. It may take off a tag that isn't in the template; of one task it does.
async fn changes(world: &mut World) {
    world.changes_tasks().await;
    world.dms.unmark(&world.orders);
}

/// A handler has answered FAILED.
async fn fails(world: &mut World) {
    world.stack.execution_is("EXECUTE_FAILED");
    world.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    world.ends("UPDATE_ROLLBACK_COMPLETE").await;
}
