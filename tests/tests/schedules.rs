//! Every order in which the calls of a few handlers, CloudFormation and an operator can come: with at most two preemptions,
//! or one and a fault.
//!
//! Each call of a handler to AWS waits for leave, and so does each step of CloudFormation and of the operator. A schedule
//! says who gets it. By itself, whoever has leave goes on until it waits for time to pass, then whoever waits first; when
//! all wait for time, it passes until somebody calls. A schedule departs from that in few places. A poll that brings nothing
//! new needs no leave, and a state that was there before is not gone on from. A run is the same to the letter each time.
//!
//! `make explore` goes through all of them; without `SLUICE_EXPLORE=all` a minute's worth.

#[path = "schedules/explorer.rs"]
mod explorer;
#[path = "schedules/gate.rs"]
mod gate;
#[path = "schedules/play.rs"]
mod play;
#[path = "schedules/scenario.rs"]
mod scenario;

use std::time::{Duration, Instant};

use explorer::Explorer;

/// For how long, without being asked for all.
const A_MINUTE: Duration = Duration::from_secs(60);

#[test]
fn whoever_comes_first_a_paused_task_runs_again_and_one_that_rested_rests() {
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
