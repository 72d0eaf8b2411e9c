//! Bringing tasks to what they are to be, in either direction: decide, do what is due, poll once a second, until all are
//! settled or the time is up.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use custom_resource::Deadline;
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tracing::{info, warn};

use crate::course::Course;
use crate::decide::{Aim, Decision, LAG, Moment, Start};
use crate::dms::connections::{Connections, Readiness};
use crate::dms::{Dms, Sent};
use crate::hints;
use crate::look::{self, Operation};
use crate::mark::Mark;
use crate::task::{Arn, Task};

/// How many calls to DMS are under way at once; its rate is a bucket of 200 that refills with 8 a second.
pub(crate) const CONCURRENCY: usize = 8;

/// Between two polls.
const POLL: Duration = Duration::from_secs(1);

/// Between two lines in the log that say how far things are.
const PROGRESS: Duration = Duration::from_secs(10);

/// How many tags DMS allows a resource.
const TAGS: usize = 10;

/// What tasks are stopped or started for.
pub(crate) struct Errand<'a> {
    pub(crate) dms: &'a Dms,
    pub(crate) operation: &'a Operation,
    /// The mark to put on a task before it is stopped, and on one that has lost its mark. Without it, tasks are stopped for
    /// good.
    pub(crate) mark: Option<Mark>,
    /// Whether marks come off tasks that run.
    pub(crate) unmarks: bool,
    /// What it does to tasks, as a gerund.
    pub(crate) doing: &'static str,
    pub(crate) deadline: Deadline,
}

/// How long it takes.
struct Wait {
    began: Instant,
    first: Moment,
    said: Instant,
}

impl Wait {
    fn moment(&self) -> Moment {
        self.first.after(self.began.elapsed())
    }

    /// Logs how far things are, once a while.
    fn say(&mut self, progress: impl FnOnce() -> String) {
        if self.said.elapsed() >= PROGRESS {
            self.said = Instant::now();
            let wait = self.began.elapsed();
            info!(wait_ms = wait.as_millis(), "{}, {} s", progress(), wait.as_secs());
        }
    }
}

/// Brings tasks to what they are to be. The failure of one to run doesn't keep the others from being started.
///
/// # Errors
/// If one can't become what it is to be, or not in time: each is named with its state. If the operation on the stack is not
/// what it was. Either way the courses tell what was done until then.
pub(crate) async fn settle(errand: &Errand<'_>, courses: &mut [Course]) -> anyhow::Result<()> {
    let tasks = courses.iter().map(|course| &course.it.task);
    let (began, first) = (Instant::now(), Moment::first(tasks, errand.dms.now()));
    let mut wait = Wait { began, first, said: began };
    let in_time = timeout_at(errand.deadline.instant(), errand.work(courses, &mut wait)).await;
    let waited = began.elapsed();
    if in_time.is_err() {
        courses.iter_mut().filter(|course| !course.settled).for_each(|course| course.is_late(waited));
    }
    let doing = errand.doing;
    in_time.unwrap_or(Ok(())).with_context(|| format!("{doing} replication tasks"))?;
    let failures: Vec<String> = courses.iter().filter_map(Course::failure).collect();
    if !failures.is_empty() {
        let concerned = courses.iter().filter(|it| !matches!(it.aim, Aim::Rest { touch: None, .. }));
        let (failed, total) = (failures.len(), concerned.count());
        bail!("{doing} replication tasks: {failed} of {total} failed: {}", few(&failures));
    }
    Ok(())
}

impl Errand<'_> {
    async fn work(&self, courses: &mut [Course], wait: &mut Wait) -> anyhow::Result<()> {
        let mut connections = Connections::default();
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is now; what is known now has just been read.
        ticks.tick().await;
        loop {
            let moment = wait.moment();
            courses.iter_mut().filter(|course| !course.settled).for_each(|course| course.advance(moment));
            // One that can't come to rest, or must not, ends the deployment: no other is stopped for it.
            if gives_up(courses) {
                return Ok(());
            }
            self.act(courses, &mut connections, wait).await?;
            let stays = self.unmark(courses).await;
            let pending = courses.iter().filter(|course| !course.settled).count();
            if (pending == 0 && !stays) || gives_up(courses) {
                return Ok(());
            }
            wait.say(|| format!("{} of {} tasks are settled", courses.len() - pending, courses.len()));
            ticks.tick().await;
            self.refresh(courses).await?;
        }
    }

    /// Marks, stops and starts what is due.
    async fn act(
        &self,
        courses: &mut [Course],
        connections: &mut Connections,
        wait: &mut Wait,
    ) -> anyhow::Result<()> {
        let unmarked = courses.iter_mut().filter(|course| course.lacks_mark());
        let marking: Vec<_> = unmarked.map(|course| self.put_mark_on(course)).collect();
        iter(marking).buffer_unordered(CONCURRENCY).try_for_each(|_| async { Ok(()) }).await?;
        let due: Vec<&mut Course> = courses.iter_mut().filter(|course| course.is_due()).collect();
        let (starts, stops): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|course| matches!(course.decision, Decision::Start(..)));
        let tasks: Vec<Task> = starts.iter().map(|course| course.it.task.clone()).collect();
        let readiness = connections.check(self.dms, self.operation, &tasks).await?;
        let mut ready = stops;
        for (course, readiness) in starts.into_iter().zip(readiness) {
            match readiness {
                Readiness::Ready => ready.push(course),
                Readiness::Testing => {}
                Readiness::Failed(why) => course.fails(hints::with_hint(&why)),
            }
        }
        let total = ready.len();
        let calls: Vec<_> = ready.into_iter().map(|course| self.act_on(course)).collect();
        let mut calls = iter(calls).buffer_unordered(CONCURRENCY);
        let mut asked = 0;
        while let Some(untested) = calls.try_next().await? {
            if let Some(task) = untested {
                connections.doubt(&task);
            }
            asked += 1;
            wait.say(|| format!("{asked} of {total} tasks were asked"));
        }
        Ok(())
    }

    /// Asks for what is due; a task that is to be stopped gets our mark first. The task, if DMS says that its connections
    /// aren't tested.
    async fn act_on(&self, course: &mut Course) -> anyhow::Result<Option<Task>> {
        let (arn, name) = (course.it.task.arn.clone(), course.it.task.name.clone());
        let how = match &course.decision {
            Decision::Start(how, _) => Some(course.other_way.clone().unwrap_or_else(|| how.clone())),
            _ => None,
        };
        if how.is_none() && !self.put_mark_on(course).await? {
            return Ok(None);
        }
        let sent = match &how {
            None => self.operation.send(|| self.dms.stop(&arn)).await?,
            Some(how) => self.operation.send(|| self.dms.start(&arn, how)).await?,
        };
        match &how {
            None => course.stopped |= !matches!(sent, Sent::Denied(_) | Sent::NotFound),
            Some(how) if matches!(sent, Sent::Taken | Sent::Unsure(_)) => course.started = Some(how.clone()),
            Some(_) => {}
        }
        match sent {
            Sent::Taken => {
                let doing = match how {
                    None => "stopping",
                    Some(Start::Resume) => "resuming",
                    Some(_) => "starting",
                };
                info!("task {name}: {doing}");
                course.asks(true);
            }
            Sent::Unsure(error) => {
                course.asks(false);
                course.waits(format!("{error:#}"));
            }
            Sent::NotNow(message) => {
                let untested = message.contains("Test connection").then(|| course.it.task.clone());
                course.waits(message);
                return Ok(untested);
            }
            // The poll finds out that it is gone.
            Sent::NotFound | Sent::Throttled => {}
            Sent::WrongStart(message) => {
                // Where it would begin at a checkpoint.
                let sources = match (&how, &course.it.task.checkpoint) {
                    (Some(Start::Resume), Some(_)) => look::sources(self.dms, [&course.it.task]).await?,
                    _ => HashMap::new(),
                };
                course.wants_the_other_way(how.as_ref(), sources.get(&course.it.task.source), &message);
            }
            Sent::Denied(error) => course.fails(format!("{error:#}")),
        }
        Ok(None)
    }

    /// Puts our mark on a task, beside those that it has: whoever put them there may still be at work. Whether it is on.
    async fn put_mark_on(&self, course: &mut Course) -> anyhow::Result<bool> {
        let mark = match &self.mark {
            Some(mark) if !course.it.marks.contains(mark) => mark,
            _ => return Ok(true),
        };
        let arn = course.it.task.arn.clone();
        if course.it.tags >= TAGS && !course.it.marks.is_empty() {
            // There is no room for one more.
            self.operation.send(|| self.dms.unmark(&arn, &course.it.marks)).await?;
            course.it.marks.clear();
        }
        match self.operation.send(|| self.dms.mark(&arn, mark)).await? {
            Sent::Taken => {
                course.it.marks.push(mark.clone());
                return Ok(true);
            }
            Sent::Denied(error) if matches!(course.aim, Aim::Rest { .. }) => {
                course.fails(format!("marking it as paused: {error:#}"));
            }
            Sent::Denied(error) => {
                // Running without a mark is better than resting.
                warn!("task {}: it can't be marked, and is started without: {error:#}", course.it.task.name);
                course.is_unmarkable = true;
            }
            Sent::Unsure(error) => course.waits(format!("{error:#}")),
            Sent::NotNow(message) | Sent::WrongStart(message) => course.waits(message),
            // The poll finds out that it is gone.
            Sent::NotFound | Sent::Throttled => {}
        }
        Ok(false)
    }

    /// Takes the marks that were read, or put on by us, off what runs or has finished. Whether some are to be tried once
    /// more. A mark that stays on is taken off by the next deployment, or event.
    async fn unmark(&self, courses: &mut [Course]) -> bool {
        let over = courses.iter_mut().filter(|course| self.unmarks && course.is_over());
        let tries = over.map(|course| async {
            let (arn, name) = (course.it.task.arn.clone(), &course.it.task.name);
            let since = *course.over_since.get_or_insert_with(Instant::now);
            match self.operation.send(|| self.dms.unmark(&arn, &course.it.marks)).await {
                Ok(Sent::Taken | Sent::NotFound) => {}
                Ok(Sent::Denied(error)) => warn!("task {name}: its marks can't be taken off: {error:#}"),
                Ok(sent) if since.elapsed() < LAG => {
                    info!("task {name}: its marks are still on: {sent:?}");
                    return true;
                }
                Ok(sent) => warn!("task {name}: its marks stay on: {sent:?}"),
                Err(error) => info!("task {name}: its marks stay on: {error:#}"),
            }
            course.it.marks.clear();
            false
        });
        let tries: Vec<_> = tries.collect();
        let tries: Vec<bool> = iter(tries).buffer_unordered(CONCURRENCY).collect().await;
        tries.contains(&true)
    }

    /// Reads the states of what isn't settled anew.
    async fn refresh(&self, courses: &mut [Course]) -> anyhow::Result<()> {
        let pending = courses.iter_mut().filter(|course| !course.settled);
        let mut pending: Vec<&mut Course> = pending.collect();
        let arns: Vec<Arn> = pending.iter().map(|course| course.it.task.arn.clone()).collect();
        let mut found = self.dms.describe(&arns).await.context("describing them")?;
        for course in &mut pending {
            match (found.remove(&course.it.task.arn), &course.aim) {
                (Some(task), _) => course.it.task = task,
                (None, Aim::Rest { .. }) => {
                    info!("task {}: it is gone", course.it.task.name);
                    (course.decision, course.settled) = (Decision::Leave("it is gone"), true);
                }
                (None, Aim::Run { .. }) => course.fails("DMS does not know it any more"),
            }
        }
        Ok(())
    }
}

fn gives_up(courses: &[Course]) -> bool {
    courses.iter().any(|it| it.failure().is_some() && matches!(it.aim, Aim::Rest { .. }))
}

/// The first few of many, and how many more there are: reasons have little room.
fn few(all: &[String]) -> String {
    const FEW: usize = 4;
    let shown = all.iter().take(FEW).map(String::as_str).collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_cut_to_the_first_few() {
        let names = |count| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>();
        assert_eq!(few(&names(2)), "t0; t1");
        assert_eq!(few(&names(445)), "t0; t1; t2; t3; and 441 more");
    }
}
