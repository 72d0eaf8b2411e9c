//! The rows that are written while the stacks change, and what becomes of them.

use std::time::Duration;

use anyhow::{Context, ensure};
use mysql_async::Opts;
use tokio::time::Instant;

use super::Line;
use super::scenes::Play;
use crate::replica::binlog::Position;
use crate::traffic::count::{count, longest_gap};
use crate::traffic::subscriber::Subscriber;
use crate::traffic::writer::Writer;

/// How often the writer writes, and with which seed.
const EVERY: Duration = Duration::from_millis(60);
const SEED: u64 = 20_261_121;

/// How long a row may take from the database to the subscriber, on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who writes rows, and who sees them.
pub(super) struct Traffic {
    writer: Writer,
    subscriber: Subscriber,
    opts: Opts,
    from: Position,
}

impl Play {
    /// Rows are written from now on, and the first ones are seen.
    pub(super) async fn rows(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let clusters = self.cloud.rds.identifiers().await;
        let cluster = clusters.first().context("the database stack has no cluster")?;
        let opts = self.cloud.rds.cluster(cluster).await;
        let opts = opts.context("the cluster is gone")?;
        let task = self.task.as_ref().context("there is no task")?;
        let runs = self.cloud.dms.runs(task);
        let from = runs.first().and_then(|run| run.from.as_ref());
        let from = from.context("the task reads no log")?;
        let from: Position = from.parse().map_err(anyhow::Error::msg)?;
        let written = self.invoke_row_writer(3).await?;
        tell(Line::Note(format!(
            "the row writer, invoked once, answers {written}; the consumer's filter is for another table"
        )));
        let subscriber = Subscriber::of_function(self.cloud.function_log(), "StreamSubscriber");
        let writer = Writer::start(opts.clone(), EVERY, SEED);
        let began = Instant::now();
        while subscriber.seen()?.len() < 3 {
            ensure!(
                began.elapsed() < PATIENCE,
                "of {} changes none comes to the consumer; the writer: {:?}",
                writer.journal().len(),
                writer.trouble()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tell(Line::Note(format!(
            "rows of blog.examples are inserted, updated and deleted from now on; the first changes came to the consumer \
             after {:.1} s",
            began.elapsed().as_secs_f64()
        )));
        self.traffic = Some(Traffic { writer, subscriber, opts, from });
        Ok("-".to_owned())
    }

    /// Nothing is written any more; what was, is counted.
    pub(super) async fn count(&mut self, tell: &mut dyn FnMut(Line)) -> anyhow::Result<String> {
        let traffic = self.traffic.as_mut().context("nobody writes")?;
        let journal = traffic.writer.stop().await?;
        let (opts, from, subscriber) = (&traffic.opts, &traffic.from, &traffic.subscriber);
        let count = count(opts, from, &journal, subscriber, PATIENCE).await?;
        let lines = count.to_string();
        lines.lines().for_each(|line| tell(Line::Note(line.to_owned())));
        ensure!(count.is_right(), "the stream does not tell what happened: {count:?}");
        // A writer that hardly wrote, or a stream that never rested, would prove nothing.
        let seen = subscriber.seen()?;
        let gap = longest_gap(&seen);
        ensure!(count.logged > 100, "only {} changes were made", count.logged);
        tell(Line::Note(format!(
            "the stream rested for {:.1} s at the longest, and then told what had happened meanwhile",
            gap.as_secs_f64()
        )));
        self.counted = Some(count);
        Ok("-".to_owned())
    }

    /// What the stream has carried by now.
    pub(super) fn carried(&self) -> Line {
        let traffic = self.traffic.as_ref();
        let written = traffic.map(|it| it.writer.journal()).unwrap_or_default();
        let seen = traffic.and_then(|it| it.subscriber.seen().ok()).unwrap_or_default();
        Line::Carried { dms: self.cloud.dms.clone(), written, seen }
    }
}
