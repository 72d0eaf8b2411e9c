//! Somebody who sees the changes of the writer's rows, from the beginning, and keeps all that comes: as records of the
//! Kinesis stream, or as the example that consumes it tells them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tokio::task::JoinHandle;

use super::decode::{Seen, of_line, of_record};
use crate::cloud::FunctionLog;
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
    pub fn of_stream(endpoint: &str, stream: &str) -> Self {
        let (kinesis, stream) = (Service::kinesis(endpoint), stream.to_owned());
        Self::start(|kept| async move { read(&kinesis, &stream, &kept).await })
    }

    /// Begins to read what the function writes that has this in its name: the example `stream-subscriber`, which is to
    /// consume the writer's table.
    pub fn of_function(log: FunctionLog, function: &'static str) -> Self {
        Self::start(|kept| async move { follow(log, function, &kept).await })
    }

    fn start<R>(read: impl FnOnce(Arc<Mutex<Inner>>) -> R) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let inner = Arc::<Mutex<Inner>>::default();
        let (kept, read) = (Arc::clone(&inner), read(Arc::clone(&inner)));
        let reading = tokio::spawn(async move {
            if let Err(error) = read.await {
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
            let Ok(mut got) = kinesis.call("GetRecords", &json!({ "ShardIterator": iterator })).await else {
                continue;
            };
            *iterator = got["NextShardIterator"].take();
            let at = SystemTime::now();
            for record in got["Records"].as_array().into_iter().flatten() {
                let data = record["Data"].as_str().context("a record without data")?;
                if let Some(change) = of_record(&BASE64_STANDARD.decode(data)?)? {
                    let sighting = Sighting { at, change };
                    kept.lock().unwrap().sightings.push(sighting);
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn follow(mut log: FunctionLog, function: &str, kept: &Mutex<Inner>) -> anyhow::Result<()> {
    loop {
        let lines = log.read().into_iter();
        for line in lines.filter(|it| it.function.contains(function)) {
            if let Some(change) = of_line(&line.line)? {
                let at = UNIX_EPOCH + Duration::from_secs_f64(line.time);
                let sighting = Sighting { at, change };
                kept.lock().unwrap().sightings.push(sighting);
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
