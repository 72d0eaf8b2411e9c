//! A short run of `make compare`: what its measuring says where it is known, with DMS and handlers in a hurry.

use programs::compare::{Left, Operation, SetUp, Times, compare};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_task_loses_nothing_with_sluice_and_changes_with_the_snippets() {
    let set_ups = [SetUp::Snippet, SetUp::Sluice];
    let operations = [Operation::Create, Operation::Replace];
    let tell = |set_up: SetUp, what: String| println!("{set_up}: {what}");
    let outcomes = compare(&set_ups, &operations, &Times::brief(), &tell).await;
    let outcomes = outcomes.unwrap();
    let [.., snippet, sluice] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    for outcome in [snippet, sluice] {
        assert_eq!(outcome.operation, Operation::Replace);
        assert_eq!(outcome.status, "UPDATE_COMPLETE", "{outcome:?}");
        assert_eq!(outcome.left, Vec::<Left>::new(), "{outcome:?}");
        let rest = outcome.rest.expect("the stream runs again");
        assert!(!rest.at_work.is_zero() && rest.at_work <= rest.time, "{rest:?}");
    }
    // The snippets' stream runs, nobody complains, and what was written meanwhile is gone.
    assert!(snippet.lost > 0, "{snippet:?}");
    assert_eq!(sluice.lost, 0, "{sluice:?}");
}
