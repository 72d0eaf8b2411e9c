//! The count at the end: the rows in the database, the changes in its log, and the changes that came out of the stream.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};

use super::decode::Seen;
use super::log::logged;
use super::subscriber::{Sighting, Subscriber};
use super::writer::Written;
use crate::replica::binlog::Position;

/// A change of a row: what was done, to which key, and the text that no other change has.
pub type Change = (String, i64, String);

/// What was compared, and what came out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Count {
    /// Changes that the database acknowledged to the writer.
    pub acknowledged: usize,
    /// Changes in the log, from where the stream began.
    pub logged: usize,
    /// Records of rows in the stream.
    pub records: usize,
    /// Of these, how many told of a change once more.
    pub duplicates: usize,
    /// Acknowledged or logged changes that are not in the stream.
    pub lost: Vec<Change>,
    /// Changes in the stream that are not in the log.
    pub unexpected: Vec<Change>,
    /// Changes that came after a later one of the same row.
    pub disordered: Vec<Change>,
    /// Rows in the database.
    pub rows: usize,
    /// Rows that are not what the stream's changes, one after the other, make of them.
    pub wrong_rows: Vec<i64>,
}

impl Count {
    /// Whether the stream told all of it, in order.
    pub fn is_right(&self) -> bool {
        self.lost.is_empty()
            && self.unexpected.is_empty()
            && self.disordered.is_empty()
            && self.wrong_rows.is_empty()
    }

    /// It in one line.
    pub fn verdict(&self) -> String {
        let (lost, seen) = (self.lost.len(), self.records - self.duplicates);
        format!(
            "lost: {lost} of {} changes. {seen} came to the consumer, in order, {} of them once more.",
            self.logged, self.duplicates
        )
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.records - self.duplicates;
        writeln!(f, "rows in the database     {:>6}", self.rows)?;
        writeln!(
            f,
            "changes in its binlog    {:>6}   ({} acknowledged to their writer)",
            self.logged, self.acknowledged
        )?;
        writeln!(f, "changes the consumer saw {seen:>6}   (and {} of them once more)", self.duplicates)?;
        write!(
            f,
            "lost: {}, out of order: {}, unexpected: {}, rows that differ: {}",
            self.lost.len(),
            self.disordered.len(),
            self.unexpected.len(),
            self.wrong_rows.len()
        )
    }
}

/// Waits until the subscriber has seen what the log holds from `from` on, and counts; if it doesn't come within this
/// time, what is missing is lost.
///
/// # Errors
/// If the database or the subscriber can't say.
pub async fn count(
    opts: &Opts,
    from: &Position,
    journal: &[Written],
    subscriber: &Subscriber,
    patience: Duration,
) -> anyhow::Result<Count> {
    let logged = logged(opts, from).await?;
    let mut conn = Conn::new(opts.clone()).await?;
    let rows: Vec<(i64, String)> = conn.query("SELECT id, example FROM blog.examples").await?;
    conn.disconnect().await?;
    let until = tokio::time::Instant::now() + patience;
    loop {
        let seen: Vec<Seen> = subscriber.seen()?.into_iter().map(|it| it.change).collect();
        let count = compare(&rows, &logged, journal, &seen);
        if count.is_right() || tokio::time::Instant::now() > until {
            return Ok(count);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Waits until all that is in the log by now has been seen; what hasn't within this time.
///
/// # Errors
/// As [`count`].
pub async fn missing(
    opts: &Opts,
    from: &Position,
    subscriber: &Subscriber,
    patience: Duration,
) -> anyhow::Result<Vec<Change>> {
    let logged = logged(opts, from).await?;
    let until = tokio::time::Instant::now() + patience;
    loop {
        let seen = subscriber.seen()?;
        let seen: HashSet<Change> = seen.into_iter().map(|it| it.change.change).collect();
        let missing: Vec<Change> = logged.iter().filter(|it| !seen.contains(it)).cloned().collect();
        if missing.is_empty() || tokio::time::Instant::now() > until {
            return Ok(missing);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The longest time between two changes that the subscriber saw one after the other.
pub fn longest_gap(seen: &[Sighting]) -> Duration {
    let gaps = seen.windows(2).map(|two| two[1].at.duration_since(two[0].at));
    gaps.map(Result::unwrap_or_default).max().unwrap_or_default()
}

/// Compares what the table holds, its log, what its writer knows, and what was seen. The table was empty when the log
/// began.
fn compare(rows: &[(i64, String)], logged: &[Change], journal: &[Written], seen: &[Seen]) -> Count {
    let mut known = HashSet::new();
    let mut firsts = Vec::new();
    for record in seen {
        if known.insert(record.id) {
            firsts.push(record.change.clone());
        }
    }
    let written = journal.iter().map(|it| (it.operation.to_owned(), it.id, it.text.clone()));
    let there: HashSet<&Change> = firsts.iter().collect();
    let in_log: HashSet<&Change> = logged.iter().collect();
    let written: Vec<Change> = written.collect();
    let due = logged.iter().chain(written.iter().filter(|it| !in_log.contains(it)));
    let lost = due.filter(|it| !there.contains(it)).cloned().collect();
    let unexpected = firsts.iter().filter(|it| !in_log.contains(it)).cloned().collect();
    Count {
        acknowledged: journal.len(),
        logged: logged.len(),
        records: seen.len(),
        duplicates: seen.len() - firsts.len(),
        lost,
        unexpected,
        disordered: disordered(logged, &firsts),
        rows: rows.len(),
        wrong_rows: wrong_rows(rows, &firsts),
    }
}

fn disordered(logged: &[Change], firsts: &[Change]) -> Vec<Change> {
    let places: HashMap<&Change, usize> = logged.iter().enumerate().map(|(at, it)| (it, at)).collect();
    let mut last: HashMap<i64, usize> = HashMap::new();
    let mut wrong = Vec::new();
    for change in firsts {
        let Some(place) = places.get(change) else {
            continue;
        };
        let last = last.entry(change.1).or_default();
        if place < last {
            wrong.push(change.clone());
        }
        *last = (*last).max(*place);
    }
    wrong
}

/// Makes the table anew from changes, and says where it isn't the same.
fn wrong_rows(rows: &[(i64, String)], firsts: &[Change]) -> Vec<i64> {
    let mut made = BTreeMap::new();
    for (operation, id, text) in firsts {
        if operation == "delete" {
            made.remove(id);
        } else {
            made.insert(*id, text.clone());
        }
    }
    let there: BTreeMap<i64, String> = rows.iter().cloned().collect();
    let ids: HashSet<i64> = made.keys().chain(there.keys()).copied().collect();
    let mut wrong: Vec<i64> = ids.into_iter().filter(|id| made.get(id) != there.get(id)).collect();
    wrong.sort_unstable();
    wrong
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{Change, Count, Seen, Written, compare};

    fn change(operation: &str, id: i64, text: &str) -> Change {
        (operation.to_owned(), id, text.to_owned())
    }

    fn seen(transaction: u64, change: &Change) -> Seen {
        Seen { change: change.clone(), id: (transaction, 1) }
    }

    /// The story of two rows: one changes and goes, the other one stays.
    fn story() -> Vec<Change> {
        vec![
            change("insert", 1, "a"),
            change("insert", 2, "b"),
            change("update", 1, "c"),
            change("delete", 1, "c"),
        ]
    }

    /// Counts these records of the story, each with the number of its transaction.
    fn counted(records: &[(u64, usize)]) -> Count {
        let story = story();
        let journal: Vec<Written> = [("insert", 1, "a"), ("insert", 2, "b")]
            .map(|(operation, id, text)| Written {
                at: SystemTime::UNIX_EPOCH,
                operation,
                id,
                text: text.to_owned(),
            })
            .into();
        let records: Vec<Seen> = records.iter().map(|(number, at)| seen(*number, &story[*at])).collect();
        compare(&[(2, "b".to_owned())], &story, &journal, &records)
    }

    #[test]
    fn all_of_it_in_order_is_right_and_duplicates_are_told_apart() {
        let count = counted(&[(1, 0), (2, 1), (3, 2), (2, 1), (3, 2), (4, 3)]);
        assert!(count.is_right(), "{count}");
        assert_eq!((count.records, count.duplicates), (6, 2));
    }

    #[test]
    fn a_change_that_never_came_is_lost_and_leaves_a_wrong_row() {
        let count = counted(&[(1, 0), (2, 1), (3, 2)]);
        assert_eq!(count.lost, [change("delete", 1, "c")]);
        assert_eq!(count.wrong_rows, [1]);
        assert!(!count.is_right());
    }

    #[test]
    fn changes_of_a_row_in_the_wrong_order_are_seen() {
        let count = counted(&[(1, 0), (3, 2), (4, 3), (2, 1)]);
        assert!(count.is_right(), "rows of their own may overtake each other");
        let count = counted(&[(1, 0), (2, 1), (4, 3), (3, 2)]);
        assert_eq!(count.disordered, [change("update", 1, "c")]);
        assert_eq!(count.wrong_rows, [1]);
    }

    #[test]
    fn what_was_acknowledged_but_is_in_no_log_is_lost() {
        let journal =
            [Written { at: SystemTime::UNIX_EPOCH, operation: "insert", id: 1, text: "a".to_owned() }];
        let count = compare(&[], &[], &journal, &[]);
        assert_eq!(count.lost, [change("insert", 1, "a")]);
    }

    #[test]
    fn the_same_change_under_another_name_is_a_wrong_row_or_none() {
        let count = counted(&[(1, 0), (2, 1), (3, 2), (4, 3), (9, 0)]);
        assert_eq!(count.wrong_rows, [1]);
        assert!(!count.is_right());
    }
}
