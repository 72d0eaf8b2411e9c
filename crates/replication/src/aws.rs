//! What the two AWS clients share: configuration, and the words of an error.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_databasemigration::error::{ProvideErrorMetadata, SdkError};

/// Lambda's environment, and how patient to be.
pub(crate) fn config() -> SdkConfig {
    aws_environment::config()
        // DMS throttles by a bucket that refills with eight calls a second. While as many calls are under way, attempts a
        // second apart take what comes in; rarer ones would leave some of it.
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(20)
                .with_initial_backoff(Duration::from_millis(250))
                .with_max_backoff(Duration::from_secs(1)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(20))
                .build(),
        )
        .build()
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
