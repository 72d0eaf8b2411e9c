//! What carrying out a plan for many tasks at once has in common.

use std::collections::HashMap;
use std::time::Duration;

use crate::task::{Arn, Task};

/// How many calls to DMS are under way at once; its rate is a bucket of 200 that refills with 8 a second.
pub(crate) const CONCURRENCY: usize = 8;

/// For how long it is believed that the stack has not moved on. Hundreds of stops or starts take a minute and more.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// How long to leave a task alone that DMS has refused something for the moment, the more often the longer: 1 s to 8 s.
pub(crate) fn patience(refusals: u32) -> Duration {
    Duration::from_secs(1 << refusals.min(3))
}

/// Tasks by their ARNs.
pub(crate) fn by_arn(tasks: Vec<Task>) -> HashMap<Arn, Task> {
    tasks.into_iter().map(|task| (task.arn.clone(), task)).collect()
}
