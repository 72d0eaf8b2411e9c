//! Random stacks live through random deployments and whatever goes wrong in them, over the stand-in for DMS and with the
//! real handlers, and are judged.

#[path = "deployments/cloudformation.rs"]
mod cloudformation;
#[path = "deployments/functions.rs"]
mod functions;
#[path = "deployments/handlers.rs"]
mod handlers;
#[path = "deployments/incidents.rs"]
mod incidents;
#[path = "deployments/judge.rs"]
mod judge;
#[path = "deployments/lambda.rs"]
mod lambda;
#[path = "deployments/resources.rs"]
mod resources;
#[path = "deployments/template.rs"]
mod template;
#[path = "deployments/update.rs"]
mod update;
#[path = "deployments/world.rs"]
mod world;

use cloudformation::CloudFormation;
use plays::trials::{Trials, saw};
use stage::lives::{self, Life};
use tokio::runtime;
use world::World;

#[test]
fn whatever_happens_the_stream_goes_on_where_it_was_and_what_an_operator_stopped_rests() {
    let trials = Trials { cases: 400, threads: 2, fresh: false, must_be_seen: &MUST_BE_SEEN };
    trials.run(lives::life, || |life| live(&life));
}

const MUST_BE_SEEN: [&str; 17] = [
    "a deployment that made up for a lost event",
    "a call that was lost, or too late, or one too many",
    "a failed update that was rolled back later",
    "a process that died",
    "a replacement that began at its predecessor's checkpoint",
    "a request that was delivered again, later",
    "a resource that was replaced",
    "a rollback that failed, and was continued",
    "a stack that was deleted",
    "a task that an operator deleted",
    "a task that an operator started",
    "a task that an operator stopped",
    "an adoption",
    "an adoption that failed",
    "an event that came again, minutes later",
    "an update that failed with rollback disabled",
    "an update that was cancelled",
];

/// Lives through it; what went wrong, and then the story.
fn live(life: &Life) -> Vec<String> {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // The SDK's pauses between two attempts are random.
    fastrand::seed(1);
    runtime.block_on(async {
        let world = World::new(&life.nature);
        let world = CloudFormation::new(world).live(life).await;
        let mut faults = world.faults();
        if !faults.is_empty() {
            faults.push(world.log());
        }
        faults
    })
}
