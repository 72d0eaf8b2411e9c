//! The whole life of the stacks in the local cloud: what `make demo` shows, demanded, and what stacks with several tasks
//! go through besides.

#[path = "lifecycle/changes.rs"]
mod changes;
#[path = "lifecycle/dates.rs"]
mod dates;
#[path = "lifecycle/express.rs"]
mod express;
#[path = "lifecycle/failures.rs"]
mod failures;
#[path = "lifecycle/permissions.rs"]
mod permissions;
#[path = "lifecycle/replacement.rs"]
mod replacement;
#[path = "lifecycle/shared.rs"]
mod shared;
#[path = "lifecycle/stream.rs"]
mod stream;
#[path = "lifecycle/tags.rs"]
mod tags;
#[path = "lifecycle/versions.rs"]
mod versions;

use stage::cloud::stacks::Sight;
use stage::play::{self, Line};

// The first one by its name, since it takes longest.
#[test]
fn all_that_the_demo_shows_comes_out_as_promised() {
    // It has a cloud of its own. With it begins that of the cases, which would otherwise end between two of them.
    shared::on_stage(async |_| the_demo().await);
}

async fn the_demo() {
    let mut story = Vec::new();
    let played = play::perform(&mut |line| story.push(line)).await;
    let played = played.unwrap_or_else(|error| panic!("{error:#}\n{}", tail(&story)));
    assert_eq!(played.acts.len(), 12);
    assert!(played.count.is_right(), "{}", played.count);
    let said = |name: &str, text: &str| {
        story.iter().any(|line| match line {
            Line::Sight(Sight::Function(line)) => line.function == name && line.line.contains(text),
            _ => false,
        })
    };
    for (name, text) in [
        ("sluice-dms-pre", "it changes (Modify of ReplicationTask)"),
        ("sluice-dms-pre", "the deployment does not touch it"),
        ("sluice-dms-post", "resume: a deployment paused it"),
    ] {
        assert!(said(name, text), "{text}\n{}", tail(&story));
    }
}

fn tail(story: &[Line]) -> String {
    story.iter().rev().take(60).rev().map(|line| format!("{line:?}\n")).collect()
}
