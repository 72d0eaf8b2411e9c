//! When work has to be over.

use std::fmt;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A moment by which something has to be done. It follows tokio's clock, so that tests can pause it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `time` from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The time that is left; zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The same moment on tokio's clock.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Does a step of the work, but not for longer than this; `doing` names the step, gerund and object.
    ///
    /// # Errors
    /// The step's own, or that it was not done in time. Without this the guard's cut ends the work, which knows no steps.
    pub async fn limit<T>(
        self,
        doing: impl fmt::Display,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        match tokio::time::timeout_at(self.0, step).await {
            Ok(done) => done,
            Err(_) => Err(anyhow::anyhow!("{doing}: not done when the function's time was nearly over")),
        }
    }
}

/// How the time of one invocation is divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// What a handler is told: time enough after it to say where things stood.
    pub(crate) work: Deadline,
    /// When a handler that is still at work is dropped.
    pub(crate) cut: Deadline,
    /// When the process may be killed; the answer is under way before.
    /// (assumption: process-lives-to-deadline)
    pub(crate) end: Deadline,
}

/// What a handler leaves of an invocation's time, at most: enough for a few attempts to answer.
const RESERVE: Duration = Duration::from_secs(15);

impl Schedule {
    /// Divides the time until `deadline`, Lambda's in milliseconds since 1970, or until nobody listens any more.
    pub(crate) fn until(deadline_ms: u64, listens_until: Option<SystemTime>) -> Self {
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(deadline_ms);
        let end = listens_until.map_or(end, |until| until.min(end));
        Self::within(end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Divides this much time from now: a quarter of it, but at most 15 s, is kept for the answer.
    pub(crate) fn within(total: Duration) -> Self {
        let reserve = RESERVE.min(total / 4);
        Self {
            work: Deadline::after(total - reserve),
            cut: Deadline::after(total - reserve * 4 / 5),
            end: Deadline::after(total - reserve / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_a_quarter_of_a_short_time_and_15_s_of_a_long_one() {
        let short = Schedule::within(Duration::from_secs(20));
        assert_eq!(short.work.remaining(), Duration::from_secs(15));
        assert_eq!(short.cut.remaining(), Duration::from_secs(16));
        assert_eq!(short.end.remaining(), Duration::from_millis(19_500));

        let long = Schedule::within(Duration::from_secs(900));
        assert_eq!(long.work.remaining(), Duration::from_secs(885));
        assert_eq!(long.cut.remaining(), Duration::from_secs(888));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_takes_too_long_is_named() {
        let deadline = Deadline::after(Duration::from_secs(5));
        let step = deadline.limit("counting sheep", std::future::pending::<anyhow::Result<()>>());
        let error = step.await.unwrap_err().to_string();
        assert_eq!(error, "counting sheep: not done when the function's time was nearly over");
        assert!(deadline.has_passed());
        assert_eq!(deadline.limit("nothing", async { Ok(7) }).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn time_ends_when_nobody_listens_any_more() {
        let ago = SystemTime::now() - Duration::from_secs(1);
        assert!(Schedule::until(u64::MAX / 2, Some(ago)).work.has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_the_past_leaves_no_time_and_no_panic() {
        assert!(Schedule::until(0, None).work.has_passed());
    }
}
