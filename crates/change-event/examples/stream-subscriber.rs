//! A consumer of the stream, as a Lambda function: it logs each change, and what that changed, as a line.
//!
//! `cfn/examples.yaml` deploys it. It shows rows in its log, as a consumer of yours should not.

use change_event::{Change, KinesisEvent, KinesisEventResponse, Message, process};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tracing::{error, info};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false).init();
    lambda_runtime::run(service_fn(|event: LambdaEvent<KinesisEvent>| consume(event.payload))).await
}

/// Takes a batch. From the record on that could not be taken, it comes again.
async fn consume(event: KinesisEvent) -> Result<KinesisEventResponse, Error> {
    let outcome = process(&event, async |message| {
        match message {
            Message::Change(change) => show(&change),
            Message::Control(control) => {
                info!(table = %control.metadata.table, "{}", control.operation);
            }
        }
        // A consumer that does something with a change gives its error here.
        Ok::<(), Error>(())
    })
    .await;
    if let Some(failure) = &outcome.failure {
        error!(records.done = outcome.done, "{failure}");
    }
    Ok(outcome.answer()?)
}

fn show(change: &Change) {
    let (operation, row, difference) = (change.operation, &change.data, change.difference());
    let unknown: Vec<&str> = difference.unknown().collect();
    info!(
        table = %change.metadata.table,
        transaction.id = change.metadata.transaction_id,
        transaction.record_id = change.metadata.transaction_record_id,
        unknown = (!unknown.is_empty()).then(|| unknown.join(" ")),
        "{operation} {row}: {difference}"
    );
}
