//! The whole life of the stacks in the local cloud: what `make demo` shows, demanded.

use stage::cloud::stacks::Sight;
use stage::play::{self, Line};

#[tokio::test(flavor = "multi_thread")]
async fn the_stacks_live_and_die_as_promised() {
    let mut story = Vec::new();
    let played = play::perform(&mut |line| story.push(line)).await;
    let acts = played.unwrap_or_else(|error| panic!("{error:#}\n{}", tail(&story)));
    assert_eq!(acts.len(), 7);
    let said = |name: &str, text: &str| {
        story.iter().any(|line| match line {
            Line::Sight(Sight::Function(line)) => {
                line.function.contains(name) && line.line.contains(text)
            }
            _ => false,
        })
    };
    assert!(
        said(
            "DmsPre",
            "is running: stop (since it changes (Modify of ReplicationTask))"
        ),
        "{}",
        tail(&story)
    );
    assert!(
        said("DmsPre", "the deployment does not touch it"),
        "{}",
        tail(&story)
    );
    assert!(
        said("DmsPost", "resume: a deployment paused it"),
        "{}",
        tail(&story)
    );
}

fn tail(story: &[Line]) -> String {
    story
        .iter()
        .rev()
        .take(60)
        .rev()
        .map(|line| format!("{line:?}\n"))
        .collect()
}
