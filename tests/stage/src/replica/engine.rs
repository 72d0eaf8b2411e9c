//! One run of a task: loads what is to be loaded, follows the log, and stops when it is told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::binlog::{Position, Reader, Step, Transaction, head};
use super::columns::{Column, columns, tables};
use super::records::{Place, Record, RowOf};
use super::statement::table_change;
use super::target::{BATCH, put};
use super::{Job, Progress, Report, Services};
use crate::service::CallError;

/// How long a run waits before it tries again what didn't work.
const PAUSE: Duration = Duration::from_millis(300);

/// How long a run that has yet to begin bears that the database or Kinesis can't be reached.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long records wait for company.
const GATHER: Duration = Duration::from_millis(20);

/// What the database says that no other try will change: 1236, the position isn't there; the others, no right to it.
const FATAL: [u16; 5] = [1236, 1044, 1045, 1142, 1227];

enum Trouble {
    Passing(String),
    Fatal(String),
}

enum End {
    Stopped,
    Finished,
}

struct Session<T> {
    job: Job,
    services: Arc<Services>,
    told: watch::Receiver<bool>,
    progress: Arc<Mutex<Progress>>,
    tell: T,
    has_told: bool,
}

/// Records that Kinesis has yet to take.
#[derive(Default)]
struct Pending {
    records: Vec<Record>,
    /// The beginning of the last transaction among them.
    begin: Option<Position>,
}

pub(super) async fn run(
    job: Job,
    services: Arc<Services>,
    told: watch::Receiver<bool>,
    progress: Arc<Mutex<Progress>>,
    tell: impl Fn(Report),
) {
    let (start, stop) = job.pace;
    sleep(start).await;
    let mut session = Session { job, services, told, progress, tell, has_told: false };
    let ended = session.play().await;
    let progress = session.progress.lock().unwrap().clone();
    let report = match ended {
        Ok(End::Stopped) => {
            sleep(stop).await;
            Report::Stopped(progress)
        }
        Ok(End::Finished) => Report::Finished,
        Err(message) => Report::Failed(message, progress),
    };
    (session.tell)(report);
}

impl<T: Fn(Report)> Session<T> {
    /// Tries until it is told to stop, or nothing can help.
    async fn play(&mut self) -> Result<End, String> {
        let began = Instant::now();
        loop {
            match self.attempt().await {
                Ok(end) => return Ok(end),
                Err(Trouble::Fatal(message)) => return Err(message),
                // Once it runs, it waits for whatever comes back.
                Err(Trouble::Passing(message)) if !self.has_told && began.elapsed() > PATIENCE => {
                    return Err(message);
                }
                Err(Trouble::Passing(_)) => {}
            }
            let mut told = self.told.clone();
            tokio::select! {
                () = stopped(&mut told) => return Ok(End::Stopped),
                () = sleep(PAUSE) => {}
            }
        }
    }

    async fn attempt(&mut self) -> Result<End, Trouble> {
        let login = self.login().await?;
        let mut conn = Conn::new(login.clone()).await?;
        let mut from = self.progress.lock().unwrap().checkpoint.clone();
        if self.job.follows && from.is_none() {
            from = Some(head(&mut conn).await?);
            self.progress.lock().unwrap().checkpoint.clone_from(&from);
        }
        let mut reader = None;
        if let Some(from) = from.as_ref().filter(|_| self.job.follows) {
            reader = Some(Reader::open(Conn::new(login).await?, from, true).await?);
        }
        if !self.has_told {
            (self.tell)(Report::Runs(from));
            self.has_told = true;
        }
        if self.job.is_first {
            let first = self.job.form.control("create-table", "", "awsdms_apply_exceptions");
            self.put(&[first]).await?;
            self.job.is_first = false;
        }
        if self.job.loads && !self.load(&mut conn).await? {
            return Ok(End::Stopped);
        }
        match reader {
            Some(mut reader) => {
                let end = self.follow(&mut reader, &mut conn).await;
                reader.close().await;
                end
            }
            None => Ok(End::Finished),
        }
    }

    /// How the database is reached: what the secret says now.
    async fn login(&self) -> Result<OptsBuilder, Trouble> {
        let input = json!({ "SecretId": self.job.secret });
        let answer = self.services.secrets.call("GetSecretValue", &input).await?;
        let text = answer["SecretString"].as_str().unwrap_or_default();
        let secret: Value = serde_json::from_str(text).unwrap_or_default();
        let text = |name: &str| match &secret[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let host = text("host").ok_or_else(|| Trouble::Fatal("the secret has no host".to_owned()))?;
        let port = text("port").and_then(|port| port.parse().ok());
        Ok(OptsBuilder::default()
            .ip_or_hostname(host)
            .tcp_port(port.unwrap_or(3306))
            .user(text("username"))
            .pass(text("password"))
            .prefer_socket(false))
    }

    /// Writes all rows there are; whether it came to the end.
    async fn load(&mut self, conn: &mut Conn) -> Result<bool, Trouble> {
        conn.query_drop("SET time_zone = '+00:00'").await?;
        conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await?;
        for (schema, table) in tables(conn).await? {
            if !self.job.selection.takes(&schema, &table) {
                continue;
            }
            if *self.told.borrow() {
                return Ok(false);
            }
            let columns = columns(conn, &schema, &table).await?;
            let [in_schema, name] = [&schema, &table].map(|name| name.replace('`', "``"));
            let rows: Vec<Row> = conn.exec(format!("SELECT * FROM `{in_schema}`.`{name}`"), ()).await?;
            let of = RowOf { schema: &schema, table: &table, columns: &columns };
            let form = &self.job.form;
            let mut records = vec![form.control("create-table", &schema, &table)];
            records.extend(rows.into_iter().map(|row| form.load(&of, &row.unwrap())));
            self.put(&records).await?;
        }
        conn.query_drop("COMMIT").await?;
        self.job.loads = false;
        self.progress.lock().unwrap().loaded = true;
        Ok(true)
    }

    async fn follow(&mut self, reader: &mut Reader, conn: &mut Conn) -> Result<End, Trouble> {
        let mut known = HashMap::new();
        let mut pending = Pending::default();
        let mut flush_at = Instant::now();
        let mut told = self.told.clone();
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut told) => {
                    // What can't be written now is read again by the next run.
                    let _ = self.flush(&mut pending).await;
                    return Ok(End::Stopped);
                }
                () = sleep_until(flush_at), if !pending.records.is_empty() => self.flush(&mut pending).await?,
                read = reader.next(), if pending.records.len() < BATCH => {
                    let Some(transaction) = read? else {
                        return Err(Trouble::Passing("the log has ended".to_owned()));
                    };
                    if pending.records.is_empty() {
                        flush_at = Instant::now() + GATHER;
                    }
                    self.encode(&transaction, &mut known, conn, &mut pending).await?;
                    pending.begin = Some(transaction.begin);
                    if pending.records.is_empty() {
                        self.flush(&mut pending).await?;
                    }
                }
            }
        }
    }

    async fn encode(
        &self,
        transaction: &Transaction,
        known: &mut HashMap<u64, Vec<Column>>,
        conn: &mut Conn,
        pending: &mut Pending,
    ) -> Result<(), Trouble> {
        let form = &self.job.form;
        for (place, step) in transaction.steps.iter().enumerate() {
            match step {
                Step::Row { schema, table, table_id, before, after }
                    if self.job.selection.takes(schema, table) =>
                {
                    if !known.contains_key(table_id) {
                        known.insert(*table_id, columns(conn, schema, table).await?);
                    }
                    let of = RowOf { schema, table, columns: &known[table_id] };
                    let place = Place { transaction, number: place + 1 };
                    let record = form.change(&of, before.as_deref(), after.as_deref(), &place);
                    pending.records.push(record);
                }
                Step::Statement { schema, sql } => {
                    let change = table_change(schema, sql);
                    let change = change.filter(|it| self.job.selection.takes(&it.schema, &it.table));
                    let told = change
                        .filter(|it| form.alters || ["create-table", "drop-table"].contains(&it.operation));
                    pending.records.extend(told.map(|it| form.control(it.operation, &it.schema, &it.table)));
                }
                Step::Row { .. } => {}
            }
        }
        Ok(())
    }

    async fn flush(&self, pending: &mut Pending) -> Result<(), Trouble> {
        self.put(&pending.records).await?;
        pending.records.clear();
        if let Some(begin) = pending.begin.take() {
            self.progress.lock().unwrap().checkpoint = Some(begin);
        }
        Ok(())
    }

    async fn put(&self, records: &[Record]) -> Result<(), Trouble> {
        Ok(put(&self.services.kinesis, &self.job.stream, records).await?)
    }
}

/// Waits until the run is told to stop, or nobody can tell it any more.
async fn stopped(told: &mut watch::Receiver<bool>) {
    let _ = told.wait_for(|stop| *stop).await;
}

impl From<mysql_async::Error> for Trouble {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(error) if FATAL.contains(&error.code) => Self::Fatal(format!(
                "Last Error Task error notification received from subtask 0, thread 0. Error executing source loop; \
                 Error Code {}, {}. Stop Reason FATAL_ERROR Error Level FATAL",
                error.code, error.message
            )),
            error => Self::Passing(error.to_string()),
        }
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        if error.is_final() {
            Self::Fatal(format!("Last Error {error} Stop Reason FATAL_ERROR Error Level FATAL"))
        } else {
            Self::Passing(error.to_string())
        }
    }
}
