//! What a task is to do, as DMS's documents say it.

use std::time::Duration;

use serde_json::Value;

use super::Progress;
use super::records::Form;
use super::rules::Selection;

/// The engines whose log is read here.
const SOURCES: [&str; 3] = ["aurora", "mysql", "mariadb"];

/// One run of a task.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Where it begins.
    pub(crate) from: Progress,
    /// Whether it has never run before.
    pub(super) is_first: bool,
    /// Whether it writes the rows that are there.
    pub(super) loads: bool,
    /// Whether it reads the log.
    pub(super) follows: bool,
    pub(super) selection: Selection,
    pub(super) form: Form,
    /// The secret that says where the database is and who reads it.
    pub(super) secret: String,
    /// The stream's ARN.
    pub(super) stream: String,
    /// How long it starts and stops at least.
    pub(super) pace: (Duration, Duration),
}

impl Job {
    /// Reads a task and its endpoints; none if this is nothing that rows can be moved for here: another engine than
    /// MySQL's, another target than Kinesis, or a login that isn't in a secret.
    pub(crate) fn new(
        task: &Value,
        source: &Value,
        target: &Value,
        from: Progress,
        is_first: bool,
        pace: (Duration, Duration),
    ) -> Option<Self> {
        let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        if !SOURCES.contains(&text(source, "EngineName").as_str()) {
            return None;
        }
        let secret = text(&source["MySQLSettings"], "SecretsManagerSecretId");
        let stream = text(&target["KinesisSettings"], "StreamArn");
        if secret.is_empty() || stream.is_empty() {
            return None;
        }
        let migration_type = text(task, "MigrationType");
        Some(Self {
            loads: migration_type != "cdc" && !from.loaded,
            follows: migration_type != "full-load",
            from,
            is_first,
            selection: Selection::new(&text(task, "TableMappings")),
            form: Form::new(&text(task, "ReplicationTaskSettings"), target),
            secret,
            stream,
            pace,
        })
    }
}
