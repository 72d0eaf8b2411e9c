//! Stacks live through deployments and whatever goes wrong in them, over the stand-in for DMS and with the real handlers, and
//! are judged: random lives, and a few in which all is tried that can come first.
//!
//! For the latter, each call of a handler to AWS waits for leave, and so does each step of CloudFormation and of the operator.
//! A schedule says who gets it. By itself, whoever has leave goes on until it waits for time to pass, then whoever waits
//! first; when all wait for time, it passes until somebody calls. A schedule departs from that in few places. A poll that
//! brings nothing new needs no leave, and a state that was there before is not gone on from. A run is the same to the letter
//! each time. `make explore` goes through all of them; without `SLUICE_EXPLORE=all` a minute's worth.

#[path = "deployments/cloudformation.rs"]
mod cloudformation;
#[path = "deployments/explorer.rs"]
mod explorer;
#[path = "deployments/functions.rs"]
mod functions;
#[path = "deployments/gate.rs"]
mod gate;
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
#[path = "deployments/scenarios.rs"]
mod scenarios;
#[path = "deployments/template.rs"]
mod template;
#[path = "deployments/update.rs"]
mod update;
#[path = "deployments/world.rs"]
mod world;

use std::time::{Duration, Instant};

use cloudformation::CloudFormation;
use explorer::Explorer;
use plays::trials::{Trials, saw};
use stage::lives::{self, Life};
use tokio::runtime;
use world::World;

#[test]
fn whatever_happens_the_stream_goes_on_where_it_was_and_what_an_operator_stopped_rests() {
    let trials = Trials { cases: 400, threads: 2, fresh: false, must_be_seen: &MUST_BE_SEEN };
    trials.run(lives::life, || |life| live(&life));
}

#[test]
fn whoever_comes_first_the_stream_goes_on_where_it_was_and_what_an_operator_stopped_rests() {
    let all = std::env::var("SLUICE_EXPLORE").is_ok_and(|text| text == "all");
    let until = (!all).then(|| Instant::now() + A_MINUTE);
    let explorer = Explorer::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| explorer.work(until));
        }
    });
    explorer.report(all);
}

/// For how long schedules are gone through, unless all are.
const A_MINUTE: Duration = Duration::from_secs(60);

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
        let mut cloudformation = CloudFormation::new(world);
        cloudformation.create(life).await;
        let world = cloudformation.live(life).await;
        let mut faults = world.faults();
        if !faults.is_empty() {
            faults.push(world.log());
        }
        faults
    })
}
