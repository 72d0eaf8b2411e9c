//! A batch of records, worked through in order.

use aws_lambda_events::kinesis::KinesisEvent;
use aws_lambda_events::streams::KinesisEventResponse;
use thiserror::Error;

use crate::message::Message;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The record at which a batch stopped.
#[derive(Debug, Error)]
#[error("record {sequence_number}: {error}")]
pub struct Failure {
    /// Which record it is. Lambda delivers it again, with all that come after it.
    pub sequence_number: String,
    /// Why: the handler's error, or that the record is [`Malformed`](crate::Malformed).
    #[source]
    pub error: BoxError,
}

/// How far a batch came. Hand it back to Lambda, as a [`KinesisEventResponse`].
#[derive(Debug)]
#[must_use = "Lambda has to hear where the batch stopped, or it drops what comes after"]
pub struct Outcome {
    /// How many records are done.
    pub done: usize,
    /// Where it stopped, if it did not come to the end.
    pub failure: Option<Failure>,
}

/// Reads the records of an event and hands them to `handle`, one after the other. It stops at the first that can't be
/// read or handled: the order of a key's changes is worth more than the speed of the others.
///
/// The outcome becomes the function's answer, which makes Lambda deliver the batch again from the failed record on. The
/// event-source mapping has to have `FunctionResponseTypes: [ReportBatchItemFailures]`. **Without it, Lambda takes any
/// answer for success, and what comes after the failed record is lost to the consumer**; a function without it has to
/// return `outcome.failure` as its error.
///
/// Whatever is delivered may have been delivered before, by Lambda or by DMS: `handle` has to bear it.
///
/// ```
/// use change_event::{KinesisEvent, KinesisEventResponse, Message, process};
///
/// async fn function(event: KinesisEvent) -> KinesisEventResponse {
///     let outcome = process(&event, async |message| match message {
///         Message::Change(change) => store(&change.metadata.table.name, &change.data).await,
///         Message::Control(_) => Ok(()),
///     })
///     .await;
///     if let Some(failure) = &outcome.failure {
///         tracing::error!("{failure}");
///     }
///     outcome.into()
/// }
///
/// async fn store(table: &str, row: &change_event::Row) -> std::io::Result<()> {
/// #   let _ = (table, row);
///     Ok(())
/// }
/// ```
pub async fn process<F, E>(event: &KinesisEvent, mut handle: F) -> Outcome
where
    F: AsyncFnMut(Message) -> Result<(), E>,
    E: Into<BoxError>,
{
    for (done, record) in event.records.iter().enumerate() {
        let result = match Message::parse(&record.kinesis.data) {
            Ok(message) => handle(message).await.map_err(Into::into),
            Err(malformed) => Err(malformed.into()),
        };
        if let Err(error) = result {
            let sequence_number = record.kinesis.sequence_number.clone();
            let failure = Some(Failure {
                sequence_number,
                error,
            });
            return Outcome { done, failure };
        }
    }
    Outcome {
        done: event.records.len(),
        failure: None,
    }
}

impl From<Outcome> for KinesisEventResponse {
    fn from(outcome: Outcome) -> Self {
        let mut response = Self::default();
        if let Some(failure) = outcome.failure {
            // One is enough: Lambda goes back to the lowest sequence number.
            response.add_failure(failure.sequence_number);
        }
        response
    }
}
