//! How long a stream rested, from the statuses of its tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use stage::dms::TaskStatus;

use stage::dms::{Dms, Event};

/// How long none of a stream's tasks ran.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rest {
    /// In all.
    pub time: Duration,
    /// In this much of it DMS was at work: it stopped, made, changed or started a task.
    pub at_work: Duration,
}

/// What a task became, and when; none when it was gone.
type Turn = (Duration, String, Option<TaskStatus>);

/// The rest between two moments, in a DMS that has tasks of one stream only.
pub(super) fn rest(dms: &Dms, from: Duration, to: Duration) -> Rest {
    let turns = dms.history().into_iter();
    let turns = turns.filter_map(|entry| match entry.event {
        Event::Status { task, status } => Some((entry.at, task, status)),
        _ => None,
    });
    between(&turns.collect::<Vec<_>>(), from, to)
}

/// The same of turns in the order of time.
fn between(turns: &[Turn], from: Duration, to: Duration) -> Rest {
    let mut rest = Rest::default();
    let mut now: BTreeMap<&str, &TaskStatus> = BTreeMap::new();
    let mut since = Duration::ZERO;
    let mut pass = |now: &BTreeMap<&str, &TaskStatus>, since: Duration, until: Duration| {
        let time = until.min(to).saturating_sub(since.max(from));
        if now.values().all(|status| **status != TaskStatus::Running) {
            rest.time += time;
            if now.values().any(|status| is_work(status)) {
                rest.at_work += time;
            }
        }
    };
    for (at, task, status) in turns {
        pass(&now, since, *at);
        since = *at;
        match status {
            Some(status) => now.insert(task, status),
            None => now.remove(task.as_str()),
        };
    }
    pass(&now, since, to);
    rest
}

/// Whether DMS is at it, and will come to an end by itself.
pub(super) fn is_work(status: &TaskStatus) -> bool {
    matches!(
        status,
        TaskStatus::Creating | TaskStatus::Starting | TaskStatus::Stopping | TaskStatus::Modifying
    )
}

#[cfg(test)]
mod tests {
    use super::{Duration, Rest, TaskStatus, Turn, between};

    fn turns(of: &[(u64, &str, &str)]) -> Vec<Turn> {
        let turn = |(at, task, status): &(u64, &str, &str)| {
            let status = (*status != "gone").then(|| TaskStatus::from(*status));
            (Duration::from_secs(*at), (*task).to_owned(), status)
        };
        of.iter().map(turn).collect()
    }

    fn rest(of: &[(u64, &str, &str)], from: u64, to: u64) -> (u64, u64) {
        let [from, to] = [from, to].map(Duration::from_secs);
        let Rest { time, at_work } = between(&turns(of), from, to);
        (time.as_secs(), at_work.as_secs())
    }

    const UPDATE: [(u64, &str, &str); 7] = [
        (1, "a", "starting"),
        (2, "a", "running"),
        (10, "a", "stopping"),
        (14, "a", "stopped"),
        (20, "a", "modifying"),
        (22, "a", "stopped"),
        (25, "a", "starting"),
    ];

    #[test]
    fn a_stream_whose_task_runs_does_not_rest() {
        assert_eq!(rest(&UPDATE, 3, 9), (0, 0));
    }

    #[test]
    fn the_rest_is_from_the_stop_to_the_run_and_what_dms_did_in_it_is_told_apart() {
        let runs = [&UPDATE[..], &[(28, "a", "running"), (40, "a", "stopping")]].concat();
        assert_eq!(rest(&runs, 5, 35), (18, 4 + 2 + 3));
    }

    #[test]
    fn a_rest_that_does_not_end_lasts_until_the_moment_asked_for() {
        assert_eq!(rest(&UPDATE[..4], 5, 60), (50, 4));
    }

    #[test]
    fn a_stream_rests_only_while_none_of_its_tasks_runs() {
        let two = [
            (1, "old", "running"),
            (5, "new", "creating"),
            (7, "new", "ready"),
            (9, "old", "stopping"),
            (11, "old", "stopped"),
            (12, "new", "starting"),
            (15, "new", "running"),
            (16, "old", "gone"),
        ];
        assert_eq!(rest(&two, 2, 30), (6, 5));
    }
}
