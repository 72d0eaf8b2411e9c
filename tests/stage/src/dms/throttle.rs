//! How many calls DMS takes.

use tokio::time::Instant;

/// A bucket of calls that refills, and some calls that are refused whatever is in it.
#[derive(Clone, Debug)]
pub struct Throttle {
    size: f64,
    per_second: f64,
    refused: f64,
    left: f64,
    at: Instant,
    calls: u64,
}

impl Throttle {
    /// DMS's own, as it is documented: 200 calls, and 8 a second. `refused` is the share of calls, from 0 to 1, that are
    /// throttled on top of that, as if somebody else used the account too.
    pub fn documented(refused: f64) -> Self {
        Self::new(200, 8, refused)
    }

    /// A full bucket of this size.
    pub fn new(size: u32, per_second: u32, refused: f64) -> Self {
        Self {
            size: size.into(),
            per_second: per_second.into(),
            refused,
            left: size.into(),
            at: Instant::now(),
            calls: 0,
        }
    }

    /// Whether one more call is taken.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        self.calls += 1;
        let since = now.saturating_duration_since(self.at);
        self.at = now;
        self.left = self.size.min(self.left + since.as_secs_f64() * self.per_second);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        // Spread by the golden ratio: the same calls in every run of a test, and no pattern that a program could meet.
        let spread = (self.calls as f64 * 0.618_033_988_749_895).fract();
        spread >= self.refused
    }
}
