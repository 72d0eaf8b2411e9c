//! How CloudFormation and EventBridge call the functions.

use std::collections::BTreeSet;
use std::time::Duration;

use custom_resource::{Deadline, Request, Resource as _};
use replication::post::DmsPostProperties;
use replication::pre::DmsPreProperties;
use stage::request::{self, UNDER_TEST};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::cloudformation::CloudFormation;
use crate::lambda::Process;
use crate::world::Rights;
use stage::lives::{Call, Update};

/// What is asked of which function.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ask {
    Pre,
    Post,
    DeletePost,
    Heal,
}

impl CloudFormation {
    /// Has a function called, and waits for the first answer.
    pub(crate) async fn ask(&mut self, ask: Ask, call: &Call, rights: &Rights) -> Result<(), String> {
        if ask == Ask::Pre {
            self.world.is_to_pause();
            // Without dates, a task that has just been started can't be told from one at rest.
            sleep(self.calm_before_pre).await;
        }
        self.serial += 1;
        let request_id = format!("r-{}", self.serial);
        self.world.note(format!("{ask:?} {request_id} {call:?}"));
        let for_rollback = self.world.rolls_back();
        let joins = self.joins(ask);
        self.asked_resource_is(ask, joins, "IN_PROGRESS");
        let (answers, mut answered) = mpsc::unbounded_channel();
        let calm = Call { mishaps: Vec::new(), ..call.clone() };
        let duplicates = call.duplicates.iter().map(|after| (*after, calm.clone()));
        for (after_s, call) in [(0, call.clone())].into_iter().chain(duplicates) {
            let process = Process::new(&self.world, ask, call, rights.clone());
            let after = self.after(ask, for_rollback);
            let (request_id, answers) = (request_id.clone(), answers.clone());
            let world = self.world.clone();
            self.strays.push(tokio::spawn(async move {
                sleep(Duration::from_secs(after_s.into())).await;
                // Once the stack rolls back, it is taken for a request of the rollback.
                let rolls_back = world.rolls_back();
                let is_late = ask != Ask::Pre && rolls_back != for_rollback;
                if after_s > 0 && is_late {
                    return;
                }
                if after_s > 0 {
                    crate::saw("a request that was delivered again, later");
                }
                let done = match ask {
                    Ask::Pre => {
                        let deployment_id = request_id.clone();
                        let request = named(plays::decoded(DmsPreProperties { deployment_id }), &request_id);
                        let pre = process.pre();
                        let answer = process.run(pre.update(request)).await;
                        answer.map(|it| it.get("Revision").unwrap_or_default().to_owned())
                    }
                    Ask::Post => {
                        let request = named(plays::decoded(DmsPostProperties { after }), &request_id);
                        let request = Request { logical_id: "DmsPost".to_owned(), ..request };
                        let post = process.post();
                        process.run(post.update(request)).await.map(|_| String::new())
                    }
                    Ask::DeletePost | Ask::Heal => {
                        let request = named(plays::decoded(()), &request_id);
                        let post = process.post();
                        process.run(post.delete(request)).await.map(|()| String::new())
                    }
                };
                let done = done.map_err(|error| format!("{error:#}"));
                world.note(format!("answer to {request_id}: {done:?}"));
                let _ = answers.send(done);
            }));
        }
        let answer = timeout(Duration::from_secs(1800), answered.recv()).await;
        let answer = answer.ok().flatten();
        let answer = answer.unwrap_or_else(|| Err("no answer".to_owned()));
        self.world.hears(&answer);
        self.asked_resource_is(ask, joins, if answer.is_ok() { "COMPLETE" } else { "FAILED" });
        if let (Ask::Pre, Ok(revision)) = (ask, &answer) {
            let before = std::mem::replace(&mut self.revisions.1, revision.clone());
            if !for_rollback {
                self.revisions.0 = before;
            }
        }
        answer.map(drop)
    }

    /// What DmsPost is given as `After`. Whether a rollback hands over what DmsPre has just answered, or what DmsPost had
    /// before, is not known.
    fn after(&self, ask: Ask, for_rollback: bool) -> String {
        let (before, now) = &self.revisions;
        let is_old = ask == Ask::Post && for_rollback && self.world.swaps_revisions;
        if is_old { before.clone() } else { now.clone() }
    }

    /// Whether the resource is new to the stack. From now on it isn't.
    fn joins(&mut self, ask: Ask) -> bool {
        match ask {
            Ask::Pre => self.present.insert(UNDER_TEST, "Custom::DmsPre").is_none(),
            Ask::Post => self.present.insert("DmsPost", "Custom::DmsPost").is_none(),
            Ask::DeletePost | Ask::Heal => false,
        }
    }

    /// What `ListStackResources` says of DmsPre, or of DmsPost.
    fn asked_resource_is(&self, ask: Ask, joins: bool, status: &str) {
        let stack = &self.world.stack;
        let status = format!("{}_{status}", if joins { "CREATE" } else { "UPDATE" });
        match ask {
            Ask::Pre => stack.resource_is(UNDER_TEST, "Custom::DmsPre", &status),
            Ask::Post => stack.resource_is("DmsPost", "Custom::DmsPost", &status),
            Ask::DeletePost | Ask::Heal => {}
        }
    }

    /// EventBridge tells of the end, at once and later, or never. Lambda tries again twice what fails.
    pub(crate) fn announce(&mut self, update: &Update) {
        // Where marks are lost as well, nothing is left for a later deployment to know.
        self.events_lost = update.events_lost && !self.world.reconciles_tags && self.had_joined;
        if self.events_lost {
            self.world.note("the events are lost");
            return;
        }
        let at_once = [(1, update.event.clone())];
        for (after_s, call) in at_once.into_iter().chain(update.late_events.iter().cloned()) {
            let world = self.world.clone();
            self.events.push(tokio::spawn(async move {
                sleep(Duration::from_secs(after_s.into())).await;
                if after_s > 60 {
                    crate::saw("an event that came again, minutes later");
                }
                let calm = Call { latency: call.latency, ..Call::default() };
                for (pause_s, call) in [(60, call), (120, calm.clone()), (0, calm)] {
                    let process = Process::new(&world, Ask::Heal, call, Some(BTreeSet::new()));
                    let deadline = Deadline::after(Duration::from_secs(885));
                    let event = request::status_change("whatever it was");
                    let post = process.post();
                    let healed = process.run(post.notified(event, deadline)).await;
                    let healed = healed.map_err(|error| format!("{error:#}"));
                    world.note(format!("healed: {healed:?}"));
                    if healed.is_ok() {
                        world.healed();
                        return;
                    }
                    sleep(Duration::from_secs(pause_s)).await;
                }
                crate::saw("healing that failed three times");
            }));
        }
    }
}

fn named<P>(request: Request<P>, id: &str) -> Request<P> {
    Request { request_id: id.to_owned(), ..request }
}
