//! CloudFormation: the life of a stack, from its creation on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stage::dms::Arn;
use stage::stack::listed;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::functions::Ask;
use crate::template::{Action, Template};
use crate::update::Undo;
use crate::world::World;
use stage::lives::{Call, Life, Step, Update, What};

/// What CloudFormation knows.
pub(crate) struct CloudFormation {
    pub(crate) world: World,
    /// What is in force, resource by resource.
    pub(crate) current: Template,
    /// The resources whose last operation was an update.
    pub(crate) updated: BTreeSet<String>,
    /// What has been replaced or removed, and is deleted in the next clean-up.
    pub(crate) garbage: Vec<(String, Arn)>,
    /// What it takes to undo an update that has failed, or that is at work.
    pub(crate) undo: Option<Undo>,
    /// Invocations that may still be at work.
    pub(crate) strays: Vec<JoinHandle<()>>,
    /// Events that are on their way.
    pub(crate) events: Vec<JoinHandle<()>>,
    /// The number of the last thing that got a name.
    pub(crate) serial: u32,
    /// What DmsPre answered before, and last.
    pub(crate) revisions: (String, String),
    /// Whether Sluice is in the stack, but for what an update at work, or failed, has brought.
    pub(crate) adopted: bool,
    /// The same, when the last update began.
    pub(crate) had_joined: bool,
    /// DmsPre and DmsPost, as far as they are in the stack: names and types.
    pub(crate) present: BTreeMap<&'static str, &'static str>,
    /// The handlers that Sluice replaces stop all tasks on their way out.
    pub(crate) others_stop_tasks: bool,
    /// The events of the last operation were lost.
    pub(crate) events_lost: bool,
    /// How long DmsPre has to wait until what was started shows.
    pub(crate) calm_before_pre: Duration,
}

impl CloudFormation {
    pub(crate) fn new(world: World) -> Self {
        Self {
            world,
            current: Template::default(),
            updated: BTreeSet::new(),
            garbage: Vec::new(),
            undo: None,
            strays: Vec::new(),
            events: Vec::new(),
            serial: 0,
            revisions: ("r-0-0".to_owned(), "r-0-0".to_owned()),
            adopted: false,
            had_joined: false,
            present: BTreeMap::new(),
            others_stop_tasks: false,
            events_lost: false,
            calm_before_pre: Duration::ZERO,
        }
    }

    /// Lives through all that comes after its creation.
    pub(crate) async fn live(mut self, life: &Life) -> World {
        if !self.world.tells_dates {
            self.calm_before_pre = self.world.lag + Duration::from_secs(1);
        }
        for step in &life.steps {
            if !self.step(step).await {
                break;
            }
        }
        if self.events_lost && self.world.stack.status() != "UPDATE_ROLLBACK_FAILED" {
            crate::saw("a deployment that made up for a lost event");
            self.update(&Update::calm()).await;
        }
        self.settle().await;
        self.world.check_violations();
        self.world.judge();
        if let Some(call) = &life.deleted {
            self.delete(call).await;
        }
        self.world
    }

    pub(crate) fn becomes(&self, status: &str) {
        self.world.note(format!("the stack is {status}"));
        self.world.stack.becomes(status);
    }

    /// Its creation.
    pub(crate) async fn create(&mut self, life: &Life) {
        let new = Template::new(&life.tasks);
        self.becomes("CREATE_IN_PROGRESS");
        let changes = self.current.changes(&new, &[], &BTreeMap::new());
        self.world.stack.changes(changes);
        let calm = Call::default();
        if life.adopts.is_none() {
            self.ask(Ask::Pre, &calm, &None).await.unwrap();
        }
        for name in new.resources.keys() {
            self.put_in_force(&new, name, false).await.unwrap();
        }
        match life.adopts {
            Some(adoption) => {
                self.world.others_start_tasks().await;
                self.others_stop_tasks = adoption.others_stop_tasks;
            }
            None => {
                self.ask(Ask::Post, &calm, &None).await.unwrap();
                self.adopted = true;
            }
        }
        self.world.stack.execution_is("EXECUTE_COMPLETE");
        self.world.deployed(&BTreeMap::new());
        self.becomes("CREATE_COMPLETE");
        sleep(Duration::from_secs(60)).await;
    }

    /// Whether the stack can go on.
    async fn step(&mut self, step: &Step) -> bool {
        match &step.what {
            What::Incident(incident) => drop(self.world.happens(*incident)),
            What::Update(update) => {
                self.update(update).await;
                if let Some(undo) = self.undo.clone() {
                    // UPDATE_ROLLBACK_FAILED can only be continued; UPDATE_FAILED may be rolled back, or updated again.
                    let stuck = self.world.stack.status() == "UPDATE_ROLLBACK_FAILED";
                    sleep(Duration::from_secs(step.then_s.into())).await;
                    // After a second update the change set at work shows only half of what is undone.
                    if stuck || update.rolled_back_later && undo.updates == 1 {
                        crate::saw(if stuck {
                            "a rollback that failed, and was continued"
                        } else {
                            "a failed update that was rolled back later"
                        });
                        self.operation_begins().await;
                        self.world.asks_leave("the rollback begins, or goes on").await;
                        if stuck {
                            self.prepare_to_continue().await;
                        }
                        let calm = Call::default();
                        self.world.what_is_stopping_does_not_rest();
                        if !self.adopted {
                            // DmsPre is about to leave, and isn't called.
                            self.world.all_rest().await;
                        }
                        let undone = self.roll_back(&calm, &calm).await;
                        self.ends(&undone, &Update::calm());
                        for event in self.events.drain(..) {
                            event.await.unwrap();
                        }
                        self.world.wakes_what_rested().await;
                    }
                }
            }
        }
        sleep(Duration::from_secs(step.then_s.into())).await;
        self.world.stack.status() != "UPDATE_ROLLBACK_FAILED"
    }

    /// Waits for what the last operation left at work: a function can't tell its last deployment's request, delivered once
    /// more, from one of the next.
    pub(crate) async fn operation_begins(&mut self) {
        for stray in self.strays.drain(..) {
            stray.await.unwrap();
        }
        // What a deployment has left unmarked is known by its own events only.
        if self.world.reconciles_tags || self.world.state().has_just_joined {
            for event in self.events.drain(..) {
                event.await.unwrap();
            }
        }
    }

    /// Makes a resource what it is in this template.
    pub(crate) async fn put_in_force(
        &mut self,
        new: &Template,
        name: &str,
        hasty: bool,
    ) -> Result<(), String> {
        let resource = &new.resources[name];
        let Some(action) = self.current.action(new, name) else {
            return Ok(());
        };
        match action {
            Action::Create | Action::Replace => {
                self.serial += 1;
                let arn = self.world.make(name, self.serial, resource).await?;
                if action == Action::Replace {
                    crate::saw("a resource that was replaced");
                    let before = self.world.arn(name).unwrap();
                    self.garbage.push((name.to_owned(), before));
                    self.updated.insert(name.to_owned());
                } else {
                    self.updated.remove(name);
                }
                self.world.put(name, &arn);
            }
            Action::Modify | Action::Tag => {
                self.updated.insert(name.to_owned());
                let arn = self.world.arn(name).unwrap();
                self.world.change(&arn, resource, action, hasty).await?;
            }
        }
        let in_force = &mut self.current.resources;
        in_force.insert(name.to_owned(), resource.clone());
        self.list();
        Ok(())
    }

    /// What `ListStackResources` shows.
    pub(crate) fn list(&self) {
        let tasks = self.world.physical().into_iter();
        let tasks = tasks.filter(|(name, _)| name.starts_with("Task"));
        let listed = tasks.map(|(name, arn)| listed(&name, &arn, self.updated.contains(&name)));
        self.world.stack.lists(listed.collect());
    }

    pub(crate) async fn clean_up(&mut self) {
        let mut garbage = self.garbage.split_off(0);
        garbage.sort_by_key(|(name, _)| !name.starts_with("Task"));
        for (name, arn) in garbage {
            self.world.delete(&name, &arn).await;
        }
    }

    async fn delete(&mut self, call: &Call) {
        self.operation_begins().await;
        self.becomes("DELETE_IN_PROGRESS");
        if self.ask(Ask::DeletePost, call, &None).await.is_err() {
            self.becomes("DELETE_FAILED");
            sleep(Duration::from_secs(60)).await;
            self.becomes("DELETE_IN_PROGRESS");
            let again = self.ask(Ask::DeletePost, &Call::default(), &None).await;
            if let Err(why) = again {
                self.world.fault(format!("the stack can't be deleted: {why}"));
            }
        }
        for (name, arn) in self.world.physical() {
            self.garbage.push((name.clone(), arn));
            self.world.remove(&name);
        }
        self.clean_up().await;
        self.list();
        self.becomes("DELETE_COMPLETE");
        self.settle().await;
        crate::saw("a stack that was deleted");
    }

    /// Waits until nobody does anything any more.
    async fn settle(&mut self) {
        for work in self.strays.drain(..).chain(self.events.drain(..)) {
            work.await.unwrap();
        }
        sleep(Duration::from_secs(120)).await;
    }
}
