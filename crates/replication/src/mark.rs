//! What tells that a resting task is to run again: the mark on the task, and what DmsPre hands to DmsPost.
//! (assumption: tags-survive-update)

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::task::Arn;

/// The key, or the beginning of the key, of the tags that mark a task as paused.
pub const PAUSE_MARK: &str = "sluice:paused-by";

/// A pause mark: the key of a tag that a request put on a task before it stopped it, `sluice:paused-by:<request>`. The bare
/// `sluice:paused-by` of version 1 is one, too.
///
/// Each request has a key of its own. So whoever takes a mark off takes off the one that it has read, and never one that was
/// put on meanwhile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mark(String);

impl Mark {
    /// The mark of a request.
    pub fn of(request_id: &str) -> Self {
        Self(format!("{PAUSE_MARK}:{request_id}"))
    }

    /// The mark that a tag is, if it is one.
    pub fn read(key: &str) -> Option<Self> {
        let rest = key.strip_prefix(PAUSE_MARK)?;
        (rest.is_empty() || rest.starts_with(':')).then(|| Self(key.to_owned()))
    }

    /// The tag's key.
    pub fn key(&self) -> &str {
        &self.0
    }
}

/// DmsPre's `Revision`, which CloudFormation keeps and hands to DmsPost as `After`: new at every call, and which tasks
/// that call paused.
///
/// `<request id>-<ms since 1970>`, and then `.` and the CRC-32 of each paused task's ARN in base64: 6 bytes and less a task,
/// so that 490 tasks fit into an answer of 4,096 bytes. Of two tasks of a stack one in four billion has the other's sum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revision {
    request_id: String,
    at: SystemTime,
    paused: BTreeSet<u32>,
}

impl Revision {
    /// The revision that a request makes at this time, to the millisecond.
    pub fn new<'a>(request_id: &str, at: SystemTime, paused: impl IntoIterator<Item = &'a Arn>) -> Self {
        let paused = paused.into_iter().map(sum).collect();
        Self { request_id: request_id.to_owned(), at: from_millis(millis(at)), paused }
    }

    /// Reads a revision; `None` if the text is none.
    pub fn read(text: &str) -> Option<Self> {
        let (head, paused) = text.split_once('.').unwrap_or((text, ""));
        let (request_id, at) = head.rsplit_once('-')?;
        let paused = URL_SAFE_NO_PAD.decode(paused).ok()?;
        let sums = paused.chunks(4).map(|sum| sum.try_into().ok().map(u32::from_le_bytes));
        Some(Self {
            request_id: request_id.to_owned(),
            at: from_millis(at.parse().ok()?),
            paused: sums.collect::<Option<_>>()?,
        })
    }

    /// Whether it says that this task was paused, in an operation that began then. In a rollback CloudFormation may hand
    /// over the revision of an earlier deployment, which says nothing about this one.
    /// (assumption: revision-in-rollback)
    pub fn tells(&self, task: &Arn, began: Option<SystemTime>) -> bool {
        began.is_none_or(|began| began <= self.at) && self.paused.contains(&sum(task))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.request_id, millis(self.at))?;
        if self.paused.is_empty() {
            return Ok(());
        }
        let sums: Vec<u8> = self.paused.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        write!(f, ".{}", URL_SAFE_NO_PAD.encode(sums))
    }
}

fn sum(task: &Arn) -> u32 {
    crc32fast::hash(task.as_str().as_bytes())
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_millis(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(number: u32) -> Arn {
        Arn::new(format!("arn:aws:dms:eu-west-1:123456789012:task:{number:026}"))
    }

    #[test]
    fn a_key_is_a_mark_if_it_is_version_1s_or_names_a_request() {
        assert_eq!(Mark::read("sluice:paused-by").unwrap().key(), "sluice:paused-by");
        assert_eq!(Mark::read("sluice:paused-by:r-1"), Some(Mark::of("r-1")));
        for key in ["sluice:paused-bye", "team", "Sluice:paused-by"] {
            assert_eq!(Mark::read(key), None, "{key}");
        }
    }

    #[test]
    fn a_revision_is_read_back_and_fits_into_an_answer_with_490_tasks() {
        let at = from_millis(1_795_000_000_123);
        let tasks: Vec<Arn> = (0..490).map(arn).collect();
        let request_id = "afd8d7c5-9376-4013-8b3b-307517b8719e";
        for paused in [0, 1, 2, 3, 490] {
            let revision = Revision::new(request_id, at, &tasks[..paused]);
            let text = revision.to_string();
            assert!(text.len() <= 2_700, "{} bytes", text.len());
            let read = Revision::read(&text).unwrap();
            assert_eq!(read, revision);
            for (number, task) in tasks.iter().enumerate() {
                assert_eq!(read.tells(task, Some(at)), number < paused);
            }
        }
    }

    #[test]
    fn a_revision_of_an_earlier_operation_tells_nothing() {
        let at = from_millis(1_795_000_000_000);
        let revision = Revision::new("r-1", at, [&arn(1)]);
        assert!(revision.tells(&arn(1), None));
        assert!(revision.tells(&arn(1), Some(at - Duration::from_secs(9))));
        assert!(!revision.tells(&arn(1), Some(at + Duration::from_millis(1))));
    }

    #[test]
    fn what_is_no_revision_is_not_read_as_one() {
        for text in ["", "r", "r-x", "r-1.***", "r-1.AAA"] {
            assert_eq!(Revision::read(text), None, "{text}");
        }
    }
}
