//! Trying again, within bounds.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The pause after the first failure; it doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls `attempt` until it succeeds, until it fails in a way that `passes` says won't pass by itself, or until the next
/// pause would go beyond `patience`; then with the last failure.
pub(crate) async fn keep_trying<T, E, F>(
    patience: Duration,
    passes: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Err(error) if passes(&error) && start.elapsed() + pause < patience => {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Fails like this until `after` have passed; the result, the number of attempts and the time it took.
    async fn tried(after: Duration, error: &'static str) -> (Result<(), &'static str>, u32, Duration) {
        let (start, attempts) = (Instant::now(), Cell::new(0));
        let result = keep_trying(
            Duration::from_secs(120),
            |error| *error == "refused",
            || async {
                attempts.set(attempts.get() + 1);
                if start.elapsed() < after { Err(error) } else { Ok(()) }
            },
        );
        let result = result.await;
        (result, attempts.get(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn success_needs_one_attempt() {
        let (result, attempts, time) = tried(Duration::ZERO, "refused").await;
        assert_eq!((result, attempts, time), (Ok(()), 1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for() {
        let (result, _, time) = tried(Duration::from_secs(60), "refused").await;
        assert_eq!(result, Ok(()));
        assert!(time < Duration::from_secs(66), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_not_tried_again() {
        let (result, attempts, _) = tried(Duration::from_secs(60), "denied").await;
        assert_eq!((result, attempts), (Err("denied"), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_the_last_failure() {
        let (result, attempts, time) = tried(Duration::MAX, "refused").await;
        assert_eq!(result, Err("refused"));
        assert!(time < Duration::from_secs(120) && attempts > 20, "{time:?}");
    }
}
