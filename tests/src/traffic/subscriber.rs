//! Somebody who reads a Kinesis stream from its beginning, and keeps all that comes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tokio::task::JoinHandle;

use super::decode::{Seen, decode};
use crate::service::Service;

const POLL: Duration = Duration::from_millis(250);

/// A change, and when it was seen.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// When.
    pub at: SystemTime,
    /// What.
    pub change: Seen,
}

#[derive(Debug, Default)]
struct Inner {
    sightings: Vec<Sighting>,
    trouble: Option<String>,
}

/// A reader at work. It ends when it is dropped.
#[derive(Debug)]
pub struct Subscriber {
    inner: Arc<Mutex<Inner>>,
    reading: JoinHandle<()>,
}

impl Subscriber {
    /// Begins to read a stream of the Kinesis at this URL.
    pub fn start(endpoint: &str, stream: &str) -> Self {
        let inner = Arc::<Mutex<Inner>>::default();
        let (kinesis, stream) = (Service::kinesis(endpoint), stream.to_owned());
        let kept = Arc::clone(&inner);
        let reading = tokio::spawn(async move {
            if let Err(error) = read(&kinesis, &stream, &kept).await {
                kept.lock().unwrap().trouble = Some(format!("{error:#}"));
            }
        });
        Self { inner, reading }
    }

    /// All that it has seen so far, in the stream's order.
    ///
    /// # Errors
    /// If it had to give up: a record is none of DMS's, or the stream is gone.
    pub fn seen(&self) -> anyhow::Result<Vec<Sighting>> {
        let inner = self.inner.lock().unwrap();
        match &inner.trouble {
            Some(trouble) => anyhow::bail!("the subscriber gave up: {trouble}"),
            None => Ok(inner.sightings.clone()),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(kinesis: &Service, stream: &str, kept: &Mutex<Inner>) -> anyhow::Result<()> {
    let of_stream = json!({ "StreamARN": stream });
    let shards = kinesis.call("ListShards", &of_stream).await?;
    let mut iterators = Vec::new();
    for shard in shards["Shards"].as_array().into_iter().flatten() {
        let from = json!({ "StreamARN": stream, "ShardId": shard["ShardId"],
            "ShardIteratorType": "TRIM_HORIZON" });
        let got = kinesis.call("GetShardIterator", &from).await?;
        iterators.push(got["ShardIterator"].clone());
    }
    loop {
        for iterator in &mut iterators {
            // A call that fails is made again: the iterator is still good.
            let Ok(mut got) = kinesis
                .call("GetRecords", &json!({ "ShardIterator": iterator }))
                .await
            else {
                continue;
            };
            *iterator = got["NextShardIterator"].take();
            let at = SystemTime::now();
            for record in got["Records"].as_array().into_iter().flatten() {
                let data = record["Data"].as_str().context("a record without data")?;
                if let Some(change) = decode(&BASE64_STANDARD.decode(data)?)? {
                    let sighting = Sighting { at, change };
                    kept.lock().unwrap().sightings.push(sighting);
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
