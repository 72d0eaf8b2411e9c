//! What to do about DMS's best-known failures.

use crate::task::Task;

/// The words by which a failure is known, and what helps.
const HINTS: [(&str, &str); 6] = [
    (
        "1236",
        "the binlog that the task needs is gone or its position is invalid, so resuming can never succeed: raise \
         BinlogRetentionHours, then start the task anew from a position that exists, and load what was missed",
    ),
    (
        "3159",
        "the database takes TLS connections only: give the source endpoint a certificate and an SslMode (parameter SourceCertificateArn of stream.yaml)",
    ),
    ("Test connection", "the endpoint's connection test from the replication instance has to succeed first"),
    ("dms-vpc-role", "the account needs a role of just that name; the stream template can create it"),
    ("not authorized", "a role that the endpoint names lacks a permission"),
    ("Access denied", "the database refuses the user of the source endpoint's secret"),
];

/// A hint for a message of DMS, where one is known.
pub(crate) fn hint(message: &str) -> Option<&'static str> {
    HINTS.iter().find(|(known, _)| message.contains(known)).map(|(_, hint)| *hint)
}

/// A message of DMS with its hint.
pub(crate) fn with_hint(message: &str) -> String {
    hint(message).map_or_else(|| message.to_owned(), |hint| format!("{message} [{hint}]"))
}

/// A task's state in one line: status, why it stopped, what it failed of, and a hint.
pub(crate) fn state(task: &Task) -> String {
    let said = [task.stop_reason.as_deref(), task.last_failure.as_deref()];
    let said: Vec<&str> = said.into_iter().flatten().collect();
    if said.is_empty() {
        return format!("it is {}", task.status);
    }
    format!("it is {}: {}", task.status, with_hint(&said.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purged_binlog_is_explained() {
        let message = "Last Error: Error 1236 reading binlog. Could not find first log file name";
        assert!(with_hint(message).contains("raise BinlogRetentionHours"));
        assert_eq!(with_hint("something new"), "something new");
    }
}
