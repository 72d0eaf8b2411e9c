//! What the AWS clients share: configuration, the words of an error, and what became of a call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_databasemigration::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_databasemigration::primitives::DateTime;

/// The configuration of calls that only read: patient.
///
/// DMS throttles by a bucket that refills with eight calls a second. While as many calls are under way, attempts a second
/// apart take what comes in; rarer ones would leave some of it.
pub(crate) fn reading(config: &SdkConfig) -> SdkConfig {
    let retries = RetryConfig::standard()
        .with_max_attempts(20)
        .with_initial_backoff(Duration::from_millis(250))
        .with_max_backoff(Duration::from_secs(1));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(20));
    with(config, retries, timeouts.build())
}

/// The configuration of calls that change something. Each is sent once, so that none arrives long after the look at the stack
/// that it relies on; whether it is sent again is decided after another look.
pub(crate) fn changing(config: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(10));
    with(config, RetryConfig::disabled(), timeouts.build())
}

fn with(config: &SdkConfig, retries: RetryConfig, timeouts: TimeoutConfig) -> SdkConfig {
    // The time-outs bound all; by itself the SDK gives up on an answer that begins after five seconds.
    let stalls = StalledStreamProtectionConfig::disabled();
    let config = config.to_builder().retry_config(retries).timeout_config(timeouts);
    config.stalled_stream_protection(stalls).build()
}

/// The service's code and message, where it answered; the chain of causes and what helps where it didn't. The SDK's own
/// `Display` says only "service error".
pub(crate) fn words<E, R>(error: SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => anyhow::anyhow!("{code}: {message}"),
        (Some(code), None) => anyhow::anyhow!("{code}"),
        _ if matches!(error, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)) => {
            anyhow::Error::new(error).context(
                "the service can't be reached; from a VPC that takes a NAT gateway or the service's VPC endpoint, and a \
                 security group that lets HTTPS out",
            )
        }
        _ => anyhow::Error::new(error),
    }
}

/// Whether a refusal of this code is for having called too often.
pub(crate) fn is_throttling(code: &str) -> bool {
    code.contains("Throttl") || matches!(code, "RequestLimitExceeded" | "TooManyRequestsException")
}

/// A date to the millisecond. DMS writes it as a binary fraction, which is a little more or less than what was meant.
pub(crate) fn moment(date: Option<DateTime>) -> Option<SystemTime> {
    let ms = (date?.as_secs_f64() * 1_000.0).round();
    UNIX_EPOCH.checked_add(Duration::from_millis(ms as u64))
}
