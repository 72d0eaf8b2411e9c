//! What goes into Kinesis.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::records::Record;
use crate::service::{CallError, Service};

/// What Kinesis takes in a call.
pub(super) const BATCH: usize = 500;

/// Puts records into a stream, in their order. What Kinesis may have taken of a call that failed is put again with it.
///
/// # Errors
/// If the stream isn't there, or Kinesis doesn't take them now; nobody knows how many it took.
pub(super) async fn put(kinesis: &Service, stream: &str, records: &[Record]) -> Result<(), CallError> {
    for batch in records.chunks(BATCH) {
        let entries: Vec<_> = batch
            .iter()
            .map(|record| json!({ "PartitionKey": record.key, "Data": BASE64_STANDARD.encode(&record.text) }))
            .collect();
        let input = json!({ "StreamARN": stream, "Records": entries });
        let answer = kinesis.call("PutRecords", &input).await?;
        if answer["FailedRecordCount"].as_u64().unwrap_or_default() > 0 {
            let why = "Kinesis took a part of the records".to_owned();
            return Err(CallError::Unreachable(why));
        }
    }
    Ok(())
}
