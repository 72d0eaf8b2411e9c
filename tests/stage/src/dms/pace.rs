//! How long things take in the stand-in.

use std::time::Duration;

/// The time each transition takes, and the time by which a described status trails the true one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pace {
    /// `creating` → `ready`, of a task; `creating` → `available`, of an instance.
    pub create: Duration,
    /// `starting` → `running`.
    pub start: Duration,
    /// `running` → `stopped`, of a task that only loads.
    pub load: Duration,
    /// `stopping` → `stopped`.
    pub stop: Duration,
    /// `modifying` → as it was.
    pub modify: Duration,
    /// `deleting` → gone.
    pub delete: Duration,
    /// `testing` → `successful` or `failed`, of a connection.
    pub connection_test: Duration,
    /// How long after the fact a description shows the status of a task or of a connection.
    pub lag: Duration,
}

impl Pace {
    /// For people who watch: a second or two for each transition.
    pub fn brisk() -> Self {
        Self {
            create: Duration::from_millis(1_000),
            start: Duration::from_millis(1_500),
            load: Duration::from_millis(2_000),
            stop: Duration::from_millis(2_000),
            modify: Duration::from_millis(1_000),
            delete: Duration::from_millis(1_000),
            connection_test: Duration::from_millis(1_000),
            lag: Duration::from_millis(500),
        }
    }

    /// Everything at once, for tests on the real clock that are not about time.
    pub fn immediate() -> Self {
        Self {
            create: Duration::ZERO,
            start: Duration::ZERO,
            load: Duration::ZERO,
            stop: Duration::ZERO,
            modify: Duration::ZERO,
            delete: Duration::ZERO,
            connection_test: Duration::ZERO,
            lag: Duration::ZERO,
        }
    }
}

impl Default for Pace {
    /// The order of magnitude of the service, for tests on a paused clock.
    fn default() -> Self {
        Self {
            create: Duration::from_secs(12),
            start: Duration::from_secs(15),
            load: Duration::from_secs(60),
            stop: Duration::from_secs(8),
            modify: Duration::from_secs(10),
            delete: Duration::from_secs(20),
            connection_test: Duration::from_secs(10),
            lag: Duration::from_secs(5),
        }
    }
}
