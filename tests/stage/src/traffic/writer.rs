//! Somebody who never stops writing rows: inserts, updates and deletes, each with a text of its own.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, TxOpts};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The table: what the database stack's first migration makes.
pub const TABLE: (&str, &str) = ("blog", "examples");

/// So many rows are there at most.
const ROWS: usize = 40;

/// How long the writer waits before it connects again.
const PAUSE: Duration = Duration::from_millis(200);

/// A change that the database has acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written {
    /// When.
    pub at: SystemTime,
    /// `insert`, `update` or `delete`.
    pub operation: &'static str,
    /// The row's key.
    pub id: i64,
    /// Its text: the new one, or the deleted row's.
    pub text: String,
}

/// A writer at work. It ends when it is dropped.
#[derive(Debug)]
pub struct Writer {
    journal: Arc<Mutex<Vec<Written>>>,
    trouble: Arc<Mutex<Option<String>>>,
    stop: watch::Sender<bool>,
    working: JoinHandle<()>,
}

/// What is done next.
struct Plan {
    random: u64,
    serial: u64,
}

impl Writer {
    /// Begins to write, a transaction in each of these stretches of time. The seed decides what.
    pub fn start(opts: Opts, every: Duration, seed: u64) -> Self {
        let journal = Arc::<Mutex<Vec<Written>>>::default();
        let (stop, told) = watch::channel(false);
        let trouble = Arc::<Mutex<Option<String>>>::default();
        let (kept, troubled) = (Arc::clone(&journal), Arc::clone(&trouble));
        let working = tokio::spawn(async move {
            let mut plan = Plan { random: seed | 1, serial: 0 };
            while !*told.borrow() {
                // A database that restarts comes back, and so does the writer.
                if let Err(error) = write(&opts, every, &told, &kept, &mut plan).await {
                    *troubled.lock().unwrap() = Some(error.to_string());
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { journal, trouble, stop, working }
    }

    /// What has been acknowledged so far.
    pub fn journal(&self) -> Vec<Written> {
        self.journal.lock().unwrap().clone()
    }

    /// The last trouble it had with the database.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap().clone()
    }

    /// Stops, after the transaction at hand. What has been acknowledged.
    ///
    /// # Errors
    /// If it can't come to an end, since the database doesn't answer.
    pub async fn stop(&mut self) -> anyhow::Result<Vec<Written>> {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(Duration::from_secs(60), &mut self.working).await;
        ended.context("the writer does not come to an end")??;
        let journal = self.journal();
        let trouble = self.trouble.lock().unwrap().take();
        ensure!(!journal.is_empty(), "the writer wrote nothing: {trouble:?}");
        Ok(journal)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.working.abort();
    }
}

impl Plan {
    /// A number below `bound`: xorshift, which is plenty for this.
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }

    fn text(&mut self) -> String {
        self.serial += 1;
        format!("hello {}", self.serial)
    }
}

async fn write(
    opts: &Opts,
    every: Duration,
    told: &watch::Receiver<bool>,
    journal: &Mutex<Vec<Written>>,
    plan: &mut Plan,
) -> mysql_async::Result<()> {
    let mut conn = Conn::new(opts.clone()).await?;
    while !*told.borrow() {
        let rows: Vec<(i64, String)> =
            conn.query("SELECT id, example FROM blog.examples ORDER BY id").await?;
        let mut changes = Vec::new();
        let mut transaction = conn.start_transaction(TxOpts::default()).await?;
        // Most transactions change one row, some of them several.
        let steps = if plan.below(5) == 0 { 3 } else { 1 };
        let mut left = rows;
        for _ in 0..steps {
            let choice = plan.below(10);
            if left.is_empty() || (choice < 4 && left.len() < ROWS) {
                let text = plan.text();
                let insert = "INSERT INTO blog.examples (example) VALUES (?)";
                transaction.exec_drop(insert, (&text,)).await?;
                let id = transaction.last_insert_id().unwrap_or_default();
                changes.push(("insert", id.cast_signed(), text));
                continue;
            }
            // A row changes but once in a transaction, so that the journal says all of it.
            let place = plan.below(left.len());
            let (id, old) = left.remove(place);
            if choice < 8 {
                let text = plan.text();
                let update = "UPDATE blog.examples SET example = ? WHERE id = ?";
                transaction.exec_drop(update, (&text, id)).await?;
                changes.push(("update", id, text));
            } else {
                let delete = "DELETE FROM blog.examples WHERE id = ?";
                transaction.exec_drop(delete, (id,)).await?;
                changes.push(("delete", id, old));
            }
        }
        transaction.commit().await?;
        let at = SystemTime::now();
        let written = changes.into_iter().map(|(operation, id, text)| Written { at, operation, id, text });
        journal.lock().unwrap().extend(written);
        tokio::time::sleep(every).await;
    }
    conn.disconnect().await
}
