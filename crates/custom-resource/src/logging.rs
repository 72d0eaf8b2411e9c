//! The log: plain lines, as CloudWatch shows them.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// Starts the log. `RUST_LOG` is honoured for this crate and for `crates`; everybody else's lines end at INFO, since the
/// runtime writes whole events at TRACE and the clients write bodies, and both hold credentials.
pub(crate) fn init(crates: &[&'static str]) {
    let asked = std::env::var("RUST_LOG").ok().and_then(|text| text.parse().ok());
    let asked = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let allowed = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::TRACE)
        .with_targets(crates.iter().map(|name| (*name, LevelFilter::TRACE)));
    let lines =
        fmt::layer().without_time().with_ansi(false).with_target(false).with_filter(asked.and(allowed));
    // A log that is there already, as in a test, stays.
    let _ = registry().with(lines).try_init();
}
