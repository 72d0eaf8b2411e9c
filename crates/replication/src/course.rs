//! One task on its way to rest or to run, and our part in it.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::{info, warn};

use crate::decide::{Aim, Asked, Decision, Moment, Start, decide};
use crate::hints;
use crate::look::StackTask;
use crate::task::{Source, State};

/// One task on its way.
pub(crate) struct Course {
    pub(crate) it: StackTask,
    pub(crate) aim: Aim,
    pub(crate) decision: Decision,
    /// Nothing is left to decide.
    pub(crate) settled: bool,
    /// Our last call to start or to stop it that may have gone through.
    asked: Option<Call>,
    /// How we have started it, if we have.
    pub(crate) started: Option<Start>,
    /// We have tried to stop it. If it isn't running after that, this is why, whatever DMS answered.
    pub(crate) stopped: bool,
    /// DMS lets nobody mark it.
    pub(crate) is_unmarkable: bool,
    /// Since when its marks are to come off.
    pub(crate) over_since: Option<Instant>,
    /// DMS wants the other way to start it.
    pub(crate) other_way: Option<Start>,
    not_before: Instant,
    refusals: u32,
    /// What DMS said when it last refused, or why there was no answer.
    said: Option<String>,
}

struct Call {
    at: Instant,
    taken: bool,
    moved: bool,
    /// The task's last start, as DMS told it before.
    started_at: Option<SystemTime>,
}

impl Course {
    pub(crate) fn new(it: StackTask, aim: Aim) -> Self {
        Self {
            it,
            aim,
            decision: Decision::Wait(""),
            settled: false,
            asked: None,
            started: None,
            stopped: false,
            is_unmarkable: false,
            over_since: None,
            other_way: None,
            not_before: Instant::now(),
            refusals: 0,
            said: None,
        }
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        self.decision == Decision::Runs
    }

    /// What is decided, in words, with the cause.
    pub(crate) fn words(&self, moment: Moment) -> String {
        let (StackTask { task, logical_id, .. }, decision) = (&self.it, self.decide(moment));
        let mut words = format!("{} ({logical_id}) is {}: {decision}", task.name, task.status);
        if let Aim::Rest { touch: Some(touch), replacement, .. } = &self.aim {
            if decision == Decision::Stop {
                words += &format!(" (since {touch})");
            }
            if let Some(begin) = replacement.as_ref().filter(|_| !matches!(decision, Decision::Fail(_))) {
                words += &format!("; {begin}");
            }
        }
        words
    }

    fn decide(&self, moment: Moment) -> Decision {
        let asked = self.asked.as_ref();
        let asked = asked.map(|it| Asked { ago: it.at.elapsed(), taken: it.taken, moved: it.moved });
        decide(&self.it, &self.aim, asked, moment)
    }

    /// Takes note of what DMS reports by now.
    pub(crate) fn advance(&mut self, moment: Moment) {
        let task = &self.it.task;
        // What is to stop was at work before it was asked, which tells nothing of a stop.
        if let (Some(asked), Aim::Run { .. }) = (&mut self.asked, &self.aim) {
            asked.moved |= task.state.works();
            // DMS's dates come before its statuses.
            asked.taken |= asked.moved || task.started_at != asked.started_at;
        }
        let decision = self.decide(moment);
        if decision != self.decision {
            let words = self.words(moment);
            match &decision {
                Decision::Leave(_) if task.state == State::Failed || task.stopped_by_itself() => {
                    warn!("task {words}; {}", hints::state(task));
                }
                _ => info!("task {words}"),
            }
            self.decision = decision;
        }
        self.settled = matches!(self.decision, Decision::Runs | Decision::Leave(_) | Decision::Fail(_));
    }

    /// Whether it was paused, as something else than a mark tells, so that it is to have one: we may come to no end.
    pub(crate) fn lacks_mark(&self) -> bool {
        let was_paused = matches!(self.aim, Aim::Run { witness: Some(_), .. });
        was_paused && !self.settled && !self.is_unmarkable && self.it.marks.is_empty()
    }

    pub(crate) fn is_due(&self) -> bool {
        let is_due = matches!(self.decision, Decision::Stop | Decision::Start(..));
        is_due && !self.lacks_mark() && Instant::now() >= self.not_before
    }

    /// Whether its marks are to come off.
    pub(crate) fn is_over(&self) -> bool {
        let has_finished = matches!(self.aim, Aim::Run { .. }) && self.it.task.has_finished();
        !self.it.marks.is_empty() && (self.runs() || (self.settled && has_finished))
    }

    pub(crate) fn fails(&mut self, why: impl Into<String>) {
        self.decision = Decision::Fail(why.into().into());
        self.settled = true;
    }

    pub(crate) fn failure(&self) -> Option<String> {
        match &self.decision {
            Decision::Fail(why) => Some(format!("{} ({}): {why}", self.it.task.name, self.it.logical_id)),
            _ => None,
        }
    }

    /// It is not done when the time is up.
    pub(crate) fn is_late(&mut self, waited: Duration) {
        let state = hints::state(&self.it.task);
        let said = self.said.as_ref();
        let said = said.map_or_else(String::new, |said| format!(" (DMS says: {})", hints::with_hint(said)));
        self.fails(format!("{state} after {} s of waiting{said}", waited.as_secs()));
    }

    /// A call to stop or to start it may have gone through, or has.
    pub(crate) fn asks(&mut self, taken: bool) {
        let started_at = self.it.task.started_at;
        self.asked = Some(Call { at: Instant::now(), taken, moved: false, started_at });
    }

    /// Not now: after 1 s to 8 s, the more often the later.
    pub(crate) fn waits(&mut self, said: String) {
        info!("task {}: not now: {said}", self.it.task.name);
        self.not_before = Instant::now() + Duration::from_secs(1 << self.refusals.min(3));
        self.refusals += 1;
        self.said = Some(said);
    }

    /// DMS has refused the start type. `source` is the endpoint that it reads from, where its checkpoint matters.
    pub(crate) fn wants_the_other_way(
        &mut self,
        how: Option<&Start>,
        source: Option<&Source>,
        message: &str,
    ) {
        if let Some(asked) = self.asked.as_mut().filter(|asked| !asked.taken) {
            // An earlier start, whose answer was lost, went through.
            (asked.taken, asked.at) = (true, Instant::now());
            return;
        }
        let other = match how {
            _ if self.other_way.is_some() => None,
            Some(Start::First) => Some(Start::Resume),
            // A task that has a position keeps it, and one that has run does not begin at now.
            Some(Start::Resume) => match &self.it.task.checkpoint {
                Some(checkpoint) => {
                    source.filter(|it| it.carries_positions()).map(|_| Start::At(checkpoint.clone()))
                }
                None => self.it.task.started_at.is_none().then_some(Start::First),
            },
            // Where a task that replaces another resumes, if it ran without coming up, nobody can tell.
            Some(Start::At(_)) | None => None,
        };
        match other {
            Some(other) => {
                info!("task {}: DMS wants the other way to start: {message}", self.it.task.name);
                self.other_way = Some(other);
            }
            None => self.fails(hints::with_hint(message)),
        }
    }
}
