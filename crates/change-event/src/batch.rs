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

/// How far a batch came. Lambda has to hear of it: see [`answer`](Self::answer).
#[derive(Debug)]
#[must_use = "Lambda takes a function that returns anything else for one that handled everything"]
pub struct Outcome {
    /// How many records are done.
    pub done: usize,
    /// Where it stopped, if it did not come to the end.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// What the function returns: an answer that makes Lambda deliver the batch again from the failed record on, or all of
    /// it as done.
    ///
    /// The event-source mapping has to have `FunctionResponseTypes: [ReportBatchItemFailures]`. **Without it, Lambda takes
    /// any answer for success, and what comes after the failed record is lost to the consumer.** A function whose mapping
    /// lacks it returns [`failure`](Self::failure) as its error instead.
    ///
    /// # Errors
    /// The failure, if it was the first record. Nothing is done then, so that the batch failed as a whole; and only for
    /// errors does `BisectBatchOnFunctionError` halve a batch, until the record is alone and can be given up without its
    /// neighbours.
    pub fn answer(self) -> Result<KinesisEventResponse, Failure> {
        let mut response = KinesisEventResponse::default();
        match self.failure {
            Some(failure) if self.done == 0 => return Err(failure),
            // One is enough: Lambda goes back to the lowest sequence number.
            Some(failure) => response.add_failure(failure.sequence_number),
            None => {}
        }
        Ok(response)
    }
}

/// Reads the records of an event and hands them to `handle`, one after the other. It stops at the first that can't be
/// read or handled: the order of a key's changes is worth more than the speed of the others.
///
/// Whatever is delivered may have been delivered before, by Lambda or by DMS: `handle` has to bear it.
///
/// ```
/// use change_event::{Failure, KinesisEvent, KinesisEventResponse, Message, process};
///
/// async fn function(event: KinesisEvent) -> Result<KinesisEventResponse, Failure> {
///     let outcome = process(&event, async |message| match message {
///         Message::Change(change) => store(&change.metadata.table.name, &change.data).await,
///         Message::Control(_) => Ok(()),
///     })
///     .await;
///     if let Some(failure) = &outcome.failure {
///         tracing::error!("{failure}");
///     }
///     outcome.answer()
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
            let failure = Some(Failure { sequence_number, error });
            return Outcome { done, failure };
        }
    }
    Outcome { done: event.records.len(), failure: None }
}
