//! A run as a picture: what the stacks did, which handlers ran, what became of the tasks, and how the rows flowed.
//!
//! # Layout
//! - `runs`: a run's events as stretches of time; `drawing`: these as one SVG, for light and dark pages

mod drawing;
mod runs;

use std::time::{SystemTime, UNIX_EPOCH};

use stage::cloud::root;
use stage::cloud::stacks::Sight;
use stage::dms::{Dms, Event};
use stage::traffic::subscriber::Sighting;
use stage::traffic::writer::Written;

/// So many characters of a failure's cause fit into the picture.
const LONGEST_CAUSE: usize = 140;

/// What the stream carried and what its tasks did, from beginning to end. Moments are seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Film {
    /// The tasks' statuses: when, which task, and what it became; none when it was gone.
    pub statuses: Vec<(f64, String, Option<String>)>,
    /// When each change was written.
    pub written: Vec<f64>,
    /// When each change was seen for the first time.
    pub seen: Vec<f64>,
    /// When each change was seen once more.
    pub again: Vec<f64>,
}

/// A run, to be drawn.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// What it was.
    pub title: String,
    /// What came out.
    pub verdict: String,
    /// When its parts began, and what they are.
    pub marks: Vec<(f64, String)>,
    /// What was seen of the stacks and the functions.
    pub sights: Vec<Sight>,
    /// The stream.
    pub film: Film,
}

impl Film {
    /// What is known by now.
    pub fn new(dms: &Dms, journal: &[Written], seen: &[Sighting]) -> Self {
        let mut film = Self {
            statuses: statuses(dms),
            written: journal.iter().map(|it| seconds(it.at)).collect(),
            ..Self::default()
        };
        let mut known = std::collections::HashSet::new();
        for sighting in seen {
            let at = seconds(sighting.at);
            if known.insert(sighting.change.id) {
                film.seen.push(at);
            } else {
                film.again.push(at);
            }
        }
        film
    }
}

/// The tasks' statuses by now.
fn statuses(dms: &Dms) -> Vec<(f64, String, Option<String>)> {
    let origin = seconds(dms.began());
    let entries = dms.history().into_iter();
    let statuses = entries.filter_map(|entry| match entry.event {
        Event::Status { task, status } => {
            let at = origin + entry.at.as_secs_f64();
            Some((at, task, status.map(|it| it.as_str().to_owned())))
        }
        _ => None,
    });
    statuses.collect()
}

impl Timeline {
    /// A part of it begins now.
    pub fn mark(&mut self, what: impl Into<String>) {
        self.marks.push((seconds(SystemTime::now()), what.into()));
    }

    /// It came out as it must not.
    pub fn fail(&mut self, error: &anyhow::Error) {
        let cause = error.root_cause().to_string();
        let words: String = cause.chars().take(LONGEST_CAUSE).collect();
        let rest = if words == cause { "" } else { " …" };
        self.verdict = format!("It came out differently: {words}{rest}");
    }

    /// Writes the picture into the build's folder, under this name. A sentence that says where it is, or why it isn't.
    pub fn write(&self, name: &str) -> String {
        let file = root().join("target").join(name);
        match std::fs::write(&file, self.svg()) {
            Ok(()) => format!("The timeline is in {}", file.display()),
            Err(error) => format!("The timeline could not be written: {error}"),
        }
    }

    /// The picture: an SVG file, complete in itself.
    pub fn svg(&self) -> String {
        drawing::draw(self)
    }
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
