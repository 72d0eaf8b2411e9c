//! A table's columns, and what their values are in a record.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value as Cell};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A column, as the database describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    kind: String,
    /// With what MySQL adds: `int(10) unsigned`, `enum('a','b')`.
    full: String,
}

/// The columns of a table, in order.
///
/// # Errors
/// If the database doesn't say.
pub async fn columns(conn: &mut Conn, schema: &str, table: &str) -> mysql_async::Result<Vec<Column>> {
    let found: Vec<(String, String, String)> = conn
        .exec(
            "SELECT column_name, data_type, column_type FROM information_schema.columns
             WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
            (schema, table),
        )
        .await?;
    let columns =
        found.into_iter().map(|(name, kind, full)| Column { name, kind: kind.to_lowercase(), full });
    Ok(columns.collect())
}

/// The base tables of all schemas that are the user's own.
///
/// # Errors
/// If the database doesn't say.
pub async fn tables(conn: &mut Conn) -> mysql_async::Result<Vec<(String, String)>> {
    let own = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'
               AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
               ORDER BY table_schema, table_name";
    conn.query(own).await
}

impl Column {
    /// A column of which nothing is known but its place: the table has changed since, or is gone.
    pub fn unknown(place: usize) -> Self {
        Self { name: format!("@{}", place + 1), kind: String::new(), full: String::new() }
    }

    /// Whether its values are large objects, which no before image has.
    pub fn is_lob(&self) -> bool {
        self.kind.ends_with("text") || self.kind.ends_with("blob") || self.kind == "json"
    }

    /// A value as a record has it. `large`: whole numbers are exact, however large.
    pub fn json(&self, cell: &Cell, large: bool) -> Value {
        match cell {
            Cell::NULL => Value::Null,
            Cell::Int(number) if self.kind == "enum" => json!(self.label(*number)),
            Cell::Int(number) if self.kind == "timestamp" => moment(*number, 0),
            Cell::Int(number) if self.full.contains("unsigned") => whole(self.unsigned(*number), large),
            Cell::Int(number) => whole(i128::from(*number), large),
            Cell::UInt(number) => whole(i128::from(*number), large),
            Cell::Float(number) => json!(number),
            Cell::Double(number) => json!(number),
            Cell::Date(year, month, day, ..) if self.kind == "date" => {
                json!(format!("{year:04}-{month:02}-{day:02}"))
            }
            Cell::Date(year, month, day, hour, minute, second, micros) => {
                let fraction = fraction(*micros);
                json!(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
            }
            Cell::Time(negative, days, hours, minutes, seconds, micros) => {
                let (sign, hours) = (if *negative { "-" } else { "" }, days * 24 + u32::from(*hours));
                let fraction = fraction(*micros);
                json!(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}"))
            }
            Cell::Bytes(bytes) => self.text(bytes),
        }
    }

    fn text(&self, bytes: &[u8]) -> Value {
        let text = str::from_utf8(bytes);
        match (self.kind.as_str(), text) {
            ("timestamp", Ok(text)) => {
                let (seconds, micros) = text.split_once('.').unwrap_or((text, "0"));
                // From a query it comes as a date, from the log as seconds.
                moment(seconds.parse().unwrap_or_default(), micros.parse().unwrap_or_default())
            }
            ("decimal" | "year", Ok(text)) => text.parse::<f64>().map_or_else(
                |_| json!(text),
                |it| match it.fract() == 0.0 && !text.contains('.') {
                    true => json!(it as i64),
                    false => json!(it),
                },
            ),
            ("bit", _) => json!(bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))),
            (kind, Ok(text)) if !kind.ends_with("blob") && !kind.ends_with("binary") => json!(text),
            _ => json!(BASE64_STANDARD.encode(bytes)),
        }
    }

    /// The log has the bits of a number, and not whether the first one is a sign.
    fn unsigned(&self, number: i64) -> i128 {
        let bits = match self.kind.as_str() {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            _ => 64,
        };
        i128::from(number as u64) & ((1_i128 << bits) - 1)
    }

    /// The log has an enumeration's value as its number.
    fn label(&self, number: i64) -> String {
        let labels = self.full.trim_start_matches("enum(").trim_end_matches(')');
        let mut labels = labels.trim_matches('\'').split("','");
        let place = usize::try_from(number).unwrap_or_default().checked_sub(1);
        let label = place.and_then(|place| labels.nth(place));
        label.unwrap_or_default().replace("''", "'")
    }
}

/// DMS writes whole numbers of more than 15 digits as floats, unless it is told not to.
fn whole(number: i128, large: bool) -> Value {
    if !large && number.unsigned_abs() >= 10_u128.pow(15) {
        return json!(number as f64);
    }
    i64::try_from(number).map_or_else(|_| json!(number as u64), |number| json!(number))
}

fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}") }
}

fn moment(seconds: i64, micros: u32) -> Value {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let moment = moment.replace_microsecond(micros).unwrap_or(moment);
    json!(moment.format(&Rfc3339).unwrap_or_default())
}
