//! What to do about DMS's best-known failures.

use crate::task::Task;

/// How a failure is known.
enum Sign {
    /// A number that stands behind a word for an error, and not in a file, a position or an account.
    Error(u32),
    /// Words, as such and not as a part of a name.
    Words(&'static str),
}

use Sign::{Error, Words};

/// The signs by which a failure is known, and what helps.
const HINTS: [(Sign, &str); 6] = [
    (
        Error(1236),
        "the binlog that the task needs is gone or its position is invalid, so resuming can never succeed: raise \
         BinlogRetentionHours, then replace the task by one that begins at a position that exists, and load what was missed \
         (docs/troubleshooting.md, Error 1236)",
    ),
    (
        Error(3159),
        "the database takes TLS connections only: give the source endpoint a certificate and an SslMode (parameter \
         SourceCertificateArn of stream.yaml)",
    ),
    (
        Words("Test connection"),
        "the endpoint's connection test from the replication instance has to succeed first",
    ),
    (Words("dms-vpc-role"), "the account needs a role of just that name; the stream template can create it"),
    (Words("is not authorized to perform"), "a role that the endpoint names lacks a permission"),
    (Words("Access denied for user"), "the database refuses the user of the source endpoint's secret"),
];

impl Sign {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Words(words) => whole(message, words).next().is_some(),
            Error(number) => whole(message, &number.to_string()).any(|before| {
                let before = before.trim_end_matches([' ', ':', '=', '(', '[', '#']).to_ascii_lowercase();
                ["error", "errno", "code"].iter().any(|word| before.ends_with(word))
            }),
        }
    }
}

/// What stands before each place where this text is no part of a longer name or number.
fn whole<'a>(message: &'a str, text: &str) -> impl Iterator<Item = &'a str> {
    let continues = |it: char| it.is_alphanumeric() || ['-', '_'].contains(&it);
    message.match_indices(text).filter_map(move |(at, found)| {
        let (before, after) = (&message[..at], &message[at + found.len()..]);
        let is_whole = !before.ends_with(continues) && !after.starts_with(continues);
        is_whole.then_some(before)
    })
}

/// A hint for a message of DMS, where one is known.
pub(crate) fn hint(message: &str) -> Option<&'static str> {
    HINTS.iter().find(|(sign, _)| sign.is_in(message)).map(|(_, hint)| *hint)
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
    fn a_hint_is_given_for_its_error_and_for_no_name_or_number_that_looks_like_it() {
        let known = [
            (
                "Last Error: Error 1236 reading binlog. Could not find first log file name",
                "BinlogRetentionHours",
            ),
            ("Got fatal error 1236 from master when reading data from binary log", "BinlogRetentionHours"),
            ("NativeError: 1236 Message: [MySQL][ODBC 8.0(w) Driver]", "BinlogRetentionHours"),
            ("Failed to read the binlog (errno=1236)", "BinlogRetentionHours"),
            (
                "ERROR 3159 (HY000): Connections using insecure transport are prohibited",
                "SourceCertificateArn",
            ),
            (
                "The IAM Role arn:aws:iam::123456789012:role/dms-vpc-role is not configured properly.",
                "just that name",
            ),
            (
                "User: arn:aws:sts::1:assumed-role/r is not authorized to perform: kinesis:PutRecords",
                "permission",
            ),
            ("Access denied for user 'dms'@'10.0.0.1' (using password: YES)", "the user of the source"),
        ];
        for (message, hint) in known {
            assert!(with_hint(message).contains(hint), "{message}");
        }
        let unknown = [
            "something new",
            "reading mysql-bin-changelog.001236 failed",
            "reading mysql-bin-changelog.000007:1236 failed",
            "task arn:aws:dms:eu-west-1:123612361236:task:T1236 failed",
            "read 1236 rows; error 12360",
            "error 21236",
            "role my-dms-vpc-role-2 has no policy",
            "table access_denied_for_users is gone",
        ];
        for message in unknown {
            assert_eq!(with_hint(message), message);
        }
    }
}
