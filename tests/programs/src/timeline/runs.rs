//! Events as stretches of time.

use std::collections::BTreeMap;

use super::Timeline;
use stage::cloud::stacks::Sight;

/// A stretch of time in which something was so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stretch {
    pub(super) from: f64,
    pub(super) to: f64,
    /// What, in a word or a few.
    pub(super) label: String,
    /// The class that gives it its colour.
    pub(super) class: &'static str,
}

/// A row of the picture: its name, and what is in it.
pub(super) type Lane = (String, Vec<Stretch>);

/// When the picture begins and ends.
pub(super) fn span(timeline: &Timeline) -> (f64, f64) {
    let film = &timeline.film;
    let sights = timeline.sights.iter().map(Sight::time);
    let moments = sights
        .chain(timeline.marks.iter().map(|(at, _)| *at))
        .chain(film.written.iter().chain(&film.seen).copied())
        .chain(film.statuses.iter().map(|(at, ..)| *at));
    let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
    for moment in moments {
        from = from.min(moment);
        to = to.max(moment);
    }
    if from > to { (0.0, 1.0) } else { (from, to.max(from + 1.0)) }
}

/// The operations of the stacks, by stack.
pub(super) fn operations(timeline: &Timeline) -> Vec<Lane> {
    let mut lanes: BTreeMap<&str, Vec<Stretch>> = BTreeMap::new();
    for sight in &timeline.sights {
        let Sight::Stack { time, resource, kind, status, .. } = sight else {
            continue;
        };
        if kind != "AWS::CloudFormation::Stack" || resource == "network" {
            continue;
        }
        let lane = lanes.entry(resource).or_default();
        if let Some(open) = lane.last_mut().filter(|it| it.to.is_infinite()) {
            open.to = *time;
        }
        if status.ends_with("_IN_PROGRESS") && status != "REVIEW_IN_PROGRESS" {
            let (label, class) = match status.as_str() {
                it if it.contains("ROLLBACK") => ("rolls back", "bad"),
                it if it.contains("CLEANUP") => ("cleans up", "rest"),
                it if it.starts_with("CREATE") => ("create", "work"),
                it if it.starts_with("DELETE") => ("delete", "work"),
                _ => ("update", "work"),
            };
            lane.push(Stretch { from: *time, to: f64::INFINITY, label: label.to_owned(), class });
        }
    }
    closed(lanes.into_iter().map(|(name, lane)| (format!("stack {name}"), lane)), timeline)
}

/// The runs of the handlers: from a process's first line about a request to the answer, or to its last word. What nobody
/// requested heals.
pub(super) fn handlers(timeline: &Timeline) -> Vec<Lane> {
    let names = [
        ("DbInitFunction", "db-init"),
        ("-dms-pre", "dms-pre"),
        ("-dms-post", "dms-post"),
        ("-last-words", "last words"),
    ];
    let mut lanes: Vec<Lane> = names.map(|(_, name)| (name.to_owned(), Vec::new())).into();
    let mut open: BTreeMap<u32, usize> = BTreeMap::new();
    for sight in &timeline.sights {
        let Sight::Function(line) = sight else {
            continue;
        };
        let of_one = |(name, _): &(&str, &str)| line.function.contains(name);
        let Some(place) = names.iter().position(of_one) else {
            continue;
        };
        let lane = &mut lanes[place].1;
        let has = |words: &str| line.line.contains(words);
        let requests = ["Create of ", "Update of ", "Delete of "];
        let request = requests.iter().find(|it| has(it) && has(" in stack "));
        let run = open.get(&line.pid).copied().filter(|_| request.is_none());
        let run = run.unwrap_or_else(|| {
            let begun = request.map(|it| (it.trim_end_matches(" of ").to_lowercase(), "silent"));
            let (label, class) = begun.unwrap_or(("heals".to_owned(), "handler"));
            lane.push(Stretch { from: line.time, to: line.time, label, class });
            lane.len() - 1
        });
        open.insert(line.pid, run);
        let stretch = &mut lane[run];
        stretch.to = line.time;
        let healed = stretch.label == "heals" && (has("nothing to heal") || has(" tasks run ("));
        if healed || has("has the answer") {
            stretch.class = "handler";
            open.remove(&line.pid);
        }
    }
    lanes.retain(|(_, lane)| !lane.is_empty());
    lanes
}

/// The tasks' statuses, by task.
pub(super) fn tasks(timeline: &Timeline) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for (at, task, status) in &timeline.film.statuses {
        let place = lanes.iter().position(|(name, _)| name == task);
        let place = place.unwrap_or_else(|| {
            lanes.push((task.clone(), Vec::new()));
            lanes.len() - 1
        });
        let lane = &mut lanes[place].1;
        if let Some(open) = lane.last_mut().filter(|it| it.to.is_infinite()) {
            open.to = *at;
        }
        let Some(status) = status else { continue };
        let class = match status.as_str() {
            "running" => "good",
            "stopped" | "ready" => "rest",
            "failed" | "failed-move" => "bad",
            "modifying" => "change",
            _ => "transit",
        };
        lane.push(Stretch { from: *at, to: f64::INFINITY, label: status.clone(), class });
    }
    let count = lanes.len();
    let named = lanes.into_iter().enumerate().map(|(place, (_, lane))| {
        let name = if count == 1 { "the task".to_owned() } else { format!("task {}", place + 1) };
        (name, lane)
    });
    closed(named, timeline)
}

/// What still goes on at the end ends there.
fn closed(lanes: impl Iterator<Item = Lane>, timeline: &Timeline) -> Vec<Lane> {
    let (_, end) = span(timeline);
    let lanes = lanes.map(|(name, mut lane)| {
        lane.iter_mut().for_each(|it| it.to = it.to.min(end));
        (name, lane)
    });
    lanes.filter(|(_, lane)| !lane.is_empty()).collect()
}

/// How many of these moments fall into each stretch of this length.
pub(super) fn histogram(moments: &[f64], (from, to): (f64, f64), width: f64) -> Vec<usize> {
    let mut bins = vec![0; ((to - from) / width).ceil() as usize + 1];
    for moment in moments {
        let bin = ((moment - from) / width).max(0.0) as usize;
        if let Some(bin) = bins.get_mut(bin) {
            *bin += 1;
        }
    }
    bins
}

/// How many changes were written and not yet seen, at the end of each stretch of this length.
pub(super) fn waiting(timeline: &Timeline, span: (f64, f64), width: f64) -> Vec<usize> {
    let film = &timeline.film;
    let [written, seen] = [&film.written, &film.seen].map(|it| histogram(it, span, width));
    let mut behind = 0_i64;
    let changes = written.into_iter().zip(seen);
    let waiting = changes.map(|(written, seen)| {
        behind += written as i64 - seen as i64;
        usize::try_from(behind).unwrap_or_default()
    });
    waiting.collect()
}

#[cfg(test)]
mod tests {
    use super::{Timeline, histogram, tasks, waiting};
    use crate::timeline::Film;

    #[test]
    fn a_task_is_in_one_status_until_the_next_one() {
        let status = |at: f64, status: &str| (at, "orders".to_owned(), Some(status.to_owned()));
        let film = Film {
            statuses: vec![status(1.0, "running"), status(4.0, "stopping"), (6.0, "orders".to_owned(), None)],
            written: vec![0.0, 9.0],
            ..Film::default()
        };
        let timeline = Timeline { film, ..Timeline::default() };
        let lanes = tasks(&timeline);
        let stretches: Vec<_> = lanes[0].1.iter().map(|it| (it.from, it.to, it.label.as_str())).collect();
        assert_eq!(stretches, [(1.0, 4.0, "running"), (4.0, 6.0, "stopping")]);
    }

    #[test]
    fn what_was_written_and_not_seen_waits() {
        let timeline = Timeline {
            film: Film { written: vec![0.1, 0.2, 1.1], seen: vec![0.3, 2.1, 2.2], ..Film::default() },
            ..Timeline::default()
        };
        assert_eq!(histogram(&timeline.film.written, (0.0, 3.0), 1.0), [2, 1, 0, 0]);
        assert_eq!(waiting(&timeline, (0.0, 3.0), 1.0), [1, 2, 0, 0]);
    }
}
