//! Waiting for DMS: one poll a second for all tasks, until the deadline.

use std::time::{Duration, SystemTime};

use custom_resource::Deadline;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tracing::info;

use crate::plan::Moment;
use crate::task::Task;

/// Between two polls.
const POLL: Duration = Duration::from_secs(1);
/// Between two lines in the log that say how far things are.
const PROGRESS: Duration = Duration::from_secs(10);

/// The rhythm of one wait.
pub(crate) struct Poll {
    began: Instant,
    first: Moment,
    said: Instant,
    ticks: Interval,
    deadline: Deadline,
}

impl Poll {
    /// A wait that begins now, for these tasks.
    pub(crate) async fn until<'a>(deadline: Deadline, tasks: impl IntoIterator<Item = &'a Task>) -> Self {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is now; what is known now has just been read.
        ticks.tick().await;
        Self {
            began: Instant::now(),
            first: Moment::first(tasks, SystemTime::now()),
            said: Instant::now(),
            ticks,
            deadline,
        }
    }

    /// The moment to decide for.
    pub(crate) fn moment(&self) -> Moment {
        self.first.after(self.waited())
    }

    /// Waits for the next poll; `false` if the deadline comes first.
    pub(crate) async fn next(&mut self) -> bool {
        tokio::time::timeout_at(self.deadline.instant(), self.ticks.tick()).await.is_ok()
    }

    /// Does a part of the work; `None` if the deadline comes first.
    pub(crate) async fn limit<T>(&self, part: impl Future<Output = T>) -> Option<T> {
        let part = tokio::time::timeout_at(self.deadline.instant(), part);
        part.await.ok()
    }

    /// Logs how far things are, once a while.
    pub(crate) fn say(&mut self, progress: impl FnOnce() -> String) {
        if self.said.elapsed() >= PROGRESS {
            self.said = Instant::now();
            info!(wait_ms = self.waited().as_millis(), "{}, {} s", progress(), self.waited().as_secs());
        }
    }

    pub(crate) fn waited(&self) -> Duration {
        self.began.elapsed()
    }
}

/// The first few of many, and how many more there are: reasons have little room.
pub(crate) fn few<T: AsRef<str>>(all: &[T], separator: &str) -> String {
    const FEW: usize = 4;
    let shown: Vec<&str> = all.iter().take(FEW).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(FEW) {
        0 => shown.join(separator),
        more => format!("{}{separator}and {more} more", shown.join(separator)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn polls_come_once_a_second_until_the_deadline() {
        let began = Instant::now();
        let mut poll = Poll::until(Deadline::after(Duration::from_millis(3500)), []).await;
        let mut polls = 0;
        while poll.next().await {
            polls += 1;
        }
        assert_eq!((polls, began.elapsed()), (3, Duration::from_millis(3500)));
    }

    #[test]
    fn many_names_are_cut_to_the_first_few() {
        assert_eq!(few(&["a", "b"], ", "), "a, b");
        let names: Vec<String> = (0..445).map(|n| format!("t{n}")).collect();
        assert_eq!(few(&names, ", "), "t0, t1, t2, t3, and 441 more");
    }
}
