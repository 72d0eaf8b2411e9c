//! A database's binary log, read as transactions.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt;
use mysql_async::binlog::events::{Event, EventData, RowsEventData};
use mysql_async::binlog::row::BinlogRow;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, Row, Value};

/// A place in the log.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The file. Its name ends in its number, with leading zeros.
    pub file: String,
    /// The byte in it.
    pub offset: u64,
}

impl Position {
    /// A number for the place: the file's above, the byte's in the lower 32 bits. DMS numbers transactions so.
    pub fn number(&self) -> u64 {
        let number = self.file.rsplit('.').next().unwrap_or_default();
        let number: u64 = number.parse().unwrap_or_default();
        (number << 32) | self.offset
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

impl FromStr for Position {
    type Err = String;

    /// Reads `file:position`, or one of DMS's checkpoints, which has that as its third part.
    fn from_str(text: &str) -> Result<Self, String> {
        let place = match text.strip_prefix("checkpoint:") {
            Some(rest) => rest.split('#').nth(2).unwrap_or_default(),
            None => text,
        };
        let mut parts = place.split(':');
        let file = parts.next().filter(|file| !file.is_empty());
        let offset = parts.next().and_then(|offset| offset.parse().ok());
        match (file, offset) {
            (Some(file), Some(offset)) => Ok(Self { file: file.to_owned(), offset }),
            _ => Err(format!("{text} is no position in a binary log")),
        }
    }
}

/// A row, column by column.
pub type Image = Vec<Value>;

/// What a transaction did, step by step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A row was written.
    Row {
        /// The table's schema.
        schema: String,
        /// The table.
        table: String,
        /// The number that the table has in the log; another one after a change of its columns.
        table_id: u64,
        /// The row before; none for an insert.
        before: Option<Image>,
        /// The row after; none for a delete.
        after: Option<Image>,
    },
    /// A statement that no row tells of, such as the creation of a table.
    Statement {
        /// The schema in use.
        schema: String,
        /// The statement.
        sql: String,
    },
}

/// What was committed together.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// Where to begin to read it again.
    pub begin: Position,
    /// Where the next one begins.
    pub end: Position,
    /// When, in seconds since 1970.
    pub committed: u32,
    /// What it did.
    pub steps: Vec<Step>,
}

/// Reads a log from a position on.
pub struct Reader {
    stream: BinlogStream,
    /// Behind the last transaction, or at the beginning of the file.
    at: Position,
    steps: Vec<Step>,
    in_transaction: bool,
}

/// The end of the log.
///
/// # Errors
/// If the server doesn't say.
pub async fn head(conn: &mut Conn) -> mysql_async::Result<Position> {
    let row: Option<Row> = match conn.query_first("SHOW BINARY LOG STATUS").await {
        Err(mysql_async::Error::Server(_)) => conn.query_first("SHOW MASTER STATUS").await?,
        row => row?,
    };
    let place = row.and_then(|row| Some((row.get(0)?, row.get(1)?)));
    let (file, offset) = place.ok_or_else(|| mysql_async::Error::Other("the binary log is off".into()))?;
    Ok(Position { file, offset })
}

impl Reader {
    /// Begins to read. At the log's end it waits for more, or is at an end itself.
    ///
    /// # Errors
    /// If the server doesn't have that position (1236), or is gone.
    pub async fn open(conn: Conn, from: &Position, waits: bool) -> mysql_async::Result<Self> {
        // A server ends the connection of a reader when another one comes with the same id.
        static NEXT_ID: AtomicU32 = AtomicU32::new(47_110_000);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let mut request =
            BinlogStreamRequest::new(id).with_filename(from.file.as_bytes()).with_pos(from.offset);
        if !waits {
            request = request.with_non_blocking();
        }
        let stream = conn.get_binlog_stream(request).await?;
        let mut reader = Self { stream, at: from.clone(), steps: Vec::new(), in_transaction: false };
        // The first event names the file. Whoever asks for what isn't there gets an error in its place.
        if let Some(event) = reader.stream.next().await {
            reader.take(&event?)?;
        }
        Ok(reader)
    }

    /// The next transaction; none at the log's end. To stop waiting for it loses nothing.
    ///
    /// # Errors
    /// If the server is gone, or the log is.
    pub async fn next(&mut self) -> mysql_async::Result<Option<Transaction>> {
        while let Some(event) = self.stream.next().await {
            if let Some(transaction) = self.take(&event?)? {
                return Ok(Some(transaction));
            }
        }
        Ok(None)
    }

    /// Ends the connection.
    pub async fn close(self) {
        let _ = self.stream.close().await;
    }

    fn take(&mut self, event: &Event) -> mysql_async::Result<Option<Transaction>> {
        let Some(data) = event.read_data()? else {
            return Ok(None);
        };
        match data {
            EventData::RotateEvent(rotate) => {
                let (file, offset) = (rotate.name().into_owned(), rotate.position());
                // The server also says what file it is in, at first with a checksum that the client takes for a part of it.
                if !file.starts_with(&self.at.file) {
                    self.at = Position { file, offset };
                    // A server that crashed may have left half a transaction, and nobody has it.
                    self.steps.clear();
                    self.in_transaction = false;
                }
            }
            EventData::RowsEvent(rows) => self.take_rows(&rows)?,
            EventData::XidEvent(_) => return Ok(Some(self.commit(event))),
            EventData::QueryEvent(query) => match query.query().as_ref() {
                "BEGIN" => self.in_transaction = true,
                // What was rolled back is in the log only where it can't be undone.
                "COMMIT" | "ROLLBACK" => return Ok(Some(self.commit(event))),
                sql if !self.in_transaction => {
                    let (schema, sql) = (query.schema().into_owned(), sql.to_owned());
                    self.steps.push(Step::Statement { schema, sql });
                    return Ok(Some(self.commit(event)));
                }
                _ => {}
            },
            _ => {}
        }
        Ok(None)
    }

    fn take_rows(&mut self, rows: &RowsEventData<'_>) -> mysql_async::Result<()> {
        let map = self.stream.get_tme(rows.table_id());
        let map = map.ok_or_else(|| mysql_async::Error::Other("rows of a table without a name".into()))?;
        for row in rows.rows(map) {
            let (before, after) = row?;
            self.steps.push(Step::Row {
                schema: map.database_name().into_owned(),
                table: map.table_name().into_owned(),
                table_id: rows.table_id(),
                before: before.as_ref().map(image).transpose()?,
                after: after.as_ref().map(image).transpose()?,
            });
        }
        Ok(())
    }

    fn commit(&mut self, event: &Event) -> Transaction {
        let header = event.header();
        let end = Position { file: self.at.file.clone(), offset: header.log_pos().into() };
        self.in_transaction = false;
        Transaction {
            begin: std::mem::replace(&mut self.at, end.clone()),
            end,
            committed: header.timestamp(),
            steps: std::mem::take(&mut self.steps),
        }
    }
}

fn image(row: &BinlogRow) -> mysql_async::Result<Image> {
    let cell = |column| match row.as_ref(column) {
        None => Ok(Value::NULL),
        Some(value) => Value::try_from(value.clone())
            .map_err(|error| mysql_async::Error::Other(error.to_string().into())),
    };
    (0..row.len()).map(cell).collect()
}
