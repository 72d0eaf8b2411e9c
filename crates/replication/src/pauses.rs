//! When an operation on the stack may have paused tasks: what healing goes by where a mark was lost.

use std::time::{Duration, SystemTime};

use crate::cloudformation::Event;
use crate::decide::LAG;
use crate::look::{POST, PRE};
use crate::task::{State, Task};

/// When the last operation on a stack paused tasks, as its events tell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Pauses {
    /// From when to when it may have stopped what it touched: from the beginning of a way, there or back, to DmsPre's end
    /// in it. DMS may move a task's dates when CloudFormation modifies it, which comes after that.
    touched: Vec<(SystemTime, SystemTime)>,
    /// From when to when anything may have stopped, as the operation brought DmsPost into the stack: the handlers that it
    /// replaces may have stopped tasks on their way out.
    adoption: Vec<(SystemTime, SystemTime)>,
    /// They are gone.
    is_adopted: bool,
}

/// For how long a task may be on its way to rest that the handlers of before have stopped. DMS's stops were seen to take up
/// to seven minutes, most of them seconds.
const LASTING: Duration = Duration::from_secs(300);

impl Pauses {
    /// Reads the events of the last operation, newest first. A rollback of it that was continued is a part of it.
    pub(crate) fn read(events: &[Event]) -> Self {
        let mut pauses = Self::default();
        let (mut adopts, mut is_adoption) = (false, false);
        // When the operation began, or was continued, and when its present way did; whether DmsPre is at work.
        let (mut began, mut way, mut pre_works) = (None, None, false);
        for event in events.iter().rev() {
            let (at, status) = (event.at, event.status.as_str());
            let is_at_work = status.ends_with("_IN_PROGRESS");
            if event.is_about_the_stack {
                if pre_works && let Some(from) = way {
                    pauses.touched.push((from, at));
                }
                pre_works = false;
                adopts |= event.begins() && status != "CREATE_IN_PROGRESS";
                way = (is_at_work && !status.contains("CLEANUP")).then_some(at);
                match began {
                    None if is_at_work => began = Some(at),
                    Some(from) if !is_at_work => {
                        pauses.adoption.push((from, at));
                        began = None;
                    }
                    _ => {}
                }
                pauses.is_adopted = status == "UPDATE_COMPLETE";
            } else if event.resource_type == PRE && !status.starts_with("DELETE_") {
                pre_works = is_at_work;
                if !pre_works && let Some(from) = way {
                    pauses.touched.push((from, at));
                }
            } else if event.resource_type == POST {
                is_adoption |= adopts && status.starts_with("CREATE_");
            }
        }
        if !is_adoption {
            pauses.adoption.clear();
        }
        pauses
    }

    /// Whether it may have paused anything.
    pub(crate) fn any(&self) -> bool {
        !self.touched.is_empty() || !self.adoption.is_empty()
    }

    /// Whether the operation is what stopped a task, or may be stopping it `now`. `touches`: it touched the task.
    pub(crate) fn stopped(&self, task: &Task, touches: bool, now: SystemTime) -> bool {
        let within = |(from, until): &(SystemTime, SystemTime)| {
            task.stopped_at.is_some_and(|at| *from < at && at <= *until)
        };
        // What the handlers of before have stopped at the end may take a while to rest.
        let going = self.adoption.last().filter(|_| self.is_adopted);
        let goes_on = |time: Duration| going.is_some_and(|(_, until)| now < *until + time);
        match task.state {
            // CloudFormation may have changed it a moment ago.
            State::Stopped | State::InTransit | State::Ready => {
                let ways = self.touched.iter().filter(|_| touches).copied();
                let lasting = going.map(|(from, until)| (*from, *until + LASTING));
                ways.chain(self.adoption.iter().copied()).chain(lasting).any(|it| within(&it))
            }
            State::Stopping => goes_on(LASTING),
            State::Running => goes_on(LAG),
            State::Starting | State::Failed | State::Deleting => false,
        }
    }
}
