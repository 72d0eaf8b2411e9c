//! A short run of `make chaos`: whatever is done to the stack, and whatever goes wrong meanwhile, no row is lost.

use programs::chaos::{Chaos, Line, perform};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_lost_in_a_short_run() {
    let mut story = Vec::new();
    let chaos = Chaos { seed: 77, rounds: 4 };
    let survived = perform(chaos, &mut |line: Line| story.push(format!("{line:?}"))).await;
    let survived = survived.unwrap_or_else(|error| {
        let last = story.len().saturating_sub(60);
        panic!("{error:#}\n{}", story[last..].join("\n"));
    });
    assert_eq!(survived.rounds.len(), 4);
    assert!(survived.count.is_right(), "{}", survived.count);
}
