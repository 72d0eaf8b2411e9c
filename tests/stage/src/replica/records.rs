//! What DMS writes to Kinesis: its JSON form of rows and of what happens to tables.
//!
//! The form: <https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Target.Kinesis.html>

use mysql_async::Value as Cell;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::binlog::{Position, Transaction};
use super::columns::Column;

/// A record, and the key that chooses its shard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The partition key.
    pub key: String,
    /// The JSON text.
    pub text: String,
}

/// How records are written: the task's settings and the target endpoint's.
#[derive(Clone, Debug)]
pub struct Form {
    before: Option<String>,
    transactions: bool,
    partition: bool,
    nulls: bool,
    large: bool,
    indented: bool,
    /// Whether there are records of tables that change.
    pub alters: bool,
}

/// A row and what it belongs to.
pub struct RowOf<'a> {
    /// The table's schema.
    pub schema: &'a str,
    /// The table.
    pub table: &'a str,
    /// Its columns.
    pub columns: &'a [Column],
}

/// A row's place in the log.
pub struct Place<'a> {
    /// What it was committed with.
    pub transaction: &'a Transaction,
    /// Which of the transaction's steps it is, from 1 on.
    pub number: usize,
}

impl Form {
    /// Reads a task's settings (JSON) and a target endpoint as DMS describes it.
    pub fn new(task_settings: &str, target: &Value) -> Self {
        let settings: Value = serde_json::from_str(task_settings).unwrap_or_default();
        let images = &settings["BeforeImageSettings"];
        let field = images["FieldName"].as_str().unwrap_or("before");
        let kinesis = &target["KinesisSettings"];
        let is = |name: &str| kinesis[name] == true;
        let attributes = target["ExtraConnectionAttributes"].as_str();
        let attributes = attributes.unwrap_or_default().to_lowercase();
        Self {
            before: (images["EnableBeforeImage"] == true).then(|| field.to_owned()),
            transactions: is("IncludeTransactionDetails"),
            partition: is("IncludePartitionValue"),
            nulls: is("IncludeNullAndEmpty"),
            large: is("UseLargeIntegerValue") || attributes.contains("uselargeintegervalue=true"),
            indented: kinesis["MessageFormat"] == "json",
            alters: is("IncludeTableAlterOperations"),
        }
    }

    /// A row that was there before.
    pub fn load(&self, of: &RowOf<'_>, row: &[Cell]) -> Record {
        let metadata = metadata("data", "load", of.schema, of.table);
        self.data(of, metadata, &self.image(of, row, true), None)
    }

    /// A row that changed.
    pub fn change(
        &self,
        of: &RowOf<'_>,
        before: Option<&[Cell]>,
        after: Option<&[Cell]>,
        place: &Place<'_>,
    ) -> Record {
        let (operation, row) = match (before, after) {
            (None, Some(after)) => ("insert", after),
            (Some(_), Some(after)) => ("update", after),
            (before, None) => ("delete", before.unwrap_or_default()),
        };
        let mut metadata = metadata("data", operation, of.schema, of.table);
        let number = place.transaction.end.number();
        metadata["transaction-id"] = json!(number);
        if self.transactions {
            let committed = i64::from(place.transaction.committed);
            let committed = OffsetDateTime::from_unix_timestamp(committed);
            metadata["transaction-record-id"] = json!(place.number);
            metadata["prev-transaction-id"] = json!(place.transaction.begin.number());
            metadata["commit-timestamp"] = json!(committed.ok().map(text_of));
            metadata["stream-position"] = json!(stream_position(&place.transaction.end));
        }
        let images = self.before.as_ref().zip(before);
        let before = images.map(|(field, row)| (field.as_str(), self.image(of, row, false)));
        self.data(of, metadata, &self.image(of, row, true), before)
    }

    /// What happened to a table: `create-table`, `drop-table` and the like.
    pub fn control(&self, operation: &str, schema: &str, table: &str) -> Record {
        let mut metadata = metadata("control", operation, schema, table);
        let mut key = format!("{schema}.{table}");
        if schema.is_empty() {
            // A table of DMS's own, which it names at a task's first start.
            metadata["partition-key-type"] = json!("task-id");
            table.clone_into(&mut key);
        }
        self.record(key, &json!({ "control": {}, "metadata": metadata }))
    }

    fn data(
        &self,
        of: &RowOf<'_>,
        mut metadata: Value,
        data: &Value,
        before: Option<(&str, Value)>,
    ) -> Record {
        let key = format!("{}.{}", of.schema, of.table);
        if self.partition {
            metadata["partition-key-value"] = json!(key);
        }
        let mut document = json!({ "data": data, "metadata": metadata });
        if let Some((field, image)) = before {
            document[field] = image;
        }
        self.record(key, &document)
    }

    fn record(&self, key: String, document: &Value) -> Record {
        // DMS ends a record on one line with a newline.
        let text = if self.indented { format!("{document:#}") } else { format!("{document}\n") };
        Record { key, text }
    }

    fn image(&self, of: &RowOf<'_>, row: &[Cell], lobs: bool) -> Value {
        let mut image = Map::new();
        for (place, cell) in row.iter().enumerate() {
            let unknown;
            let column = match of.columns.get(place).filter(|_| of.columns.len() == row.len()) {
                Some(column) => column,
                None => {
                    unknown = Column::unknown(place);
                    &unknown
                }
            };
            if column.is_lob() && !lobs || *cell == Cell::NULL && !self.nulls {
                continue;
            }
            image.insert(column.name.clone(), column.json(cell, self.large));
        }
        Value::Object(image)
    }
}

/// A place in the log as DMS writes it, in records and in checkpoints.
pub fn stream_position(at: &Position) -> String {
    let Position { file, offset } = at;
    format!("{file}:{offset}:-1:{offset}:{:015}:{file}:{offset}", at.number())
}

fn metadata(record_type: &str, operation: &str, schema: &str, table: &str) -> Value {
    json!({
        "timestamp": text_of(OffsetDateTime::now_utc()),
        "record-type": record_type,
        "operation": operation,
        "partition-key-type": "schema-table",
        "schema-name": schema,
        "table-name": table,
    })
}

fn text_of(moment: OffsetDateTime) -> String {
    let micros = moment.microsecond();
    let moment = moment.replace_microsecond(micros).unwrap_or(moment);
    moment.format(&Rfc3339).unwrap_or_default()
}
