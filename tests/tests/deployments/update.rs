//! An update: the way there, the way back, and the ends of both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stage::dms::Arn;
use tokio::time::sleep;

use crate::cloudformation::CloudFormation;
use crate::functions::Ask;
use crate::gate::CANCELLER;
use crate::template::{Action, Template};
use crate::world::Rights;
use stage::lives::{By, Call, Failure, Update};

/// How it was before, and what has been touched since.
#[derive(Clone)]
pub(crate) struct Undo {
    before: Template,
    physical: BTreeMap<String, Arn>,
    touched: Vec<String>,
    /// What was done to them, or was to be.
    actions: BTreeMap<String, Action>,
    /// Whether DmsPre and DmsPost were touched.
    pre: bool,
    post: bool,
    /// The tasks that may be stopped.
    rights: Rights,
    execution_failed: bool,
    /// How many updates in a row have failed.
    pub(crate) updates: u32,
}

impl CloudFormation {
    pub(crate) async fn update(&mut self, update: &Update) {
        self.operation_begins().await;
        self.world.asks_leave("an update begins").await;
        let (new, conditional) = self.current.edited(&update.edits, &mut self.serial);
        let rollback_disabled = update.rollback_disabled || self.undo.is_some();
        self.world.note(format!(
            "update {:?} by {:?}, rollback disabled: {rollback_disabled}",
            update.edits, update.by
        ));
        self.had_joined = self.adopted;
        let rights = self.begins(&new, &conditional, update);
        // Whatever stops in the operation that brings Sluice, the handlers before it may have stopped.
        let in_hand = self.world.tasks().into_iter();
        let in_hand = in_hand.filter(|(name, _)| match &rights {
            Some(may) if self.adopted => may.contains(name),
            _ => true,
        });
        self.world.state().in_hand.extend(in_hand.map(|(_, arn)| arn));
        let is_first = self.undo.as_ref().is_some_and(|it| it.updates == 1);
        self.world.what_is_stopping_does_not_rest();
        self.becomes("UPDATE_IN_PROGRESS");
        let broken = self.world.broken();
        let world = self.world.clone();
        let meanwhile = update.meanwhile.clone();
        self.events.push(tokio::spawn(async move { world.happen(meanwhile).await }));
        // What a second update in a row has changed is undone with the first, of which its change set says nothing.
        let until = match update.cancelled_after_s {
            Some(seconds) if is_first => Duration::from_secs(seconds.into()),
            _ => Duration::MAX,
        };
        let gate = self.world.gate.clone();
        let cancelled = async {
            sleep(until).await;
            gate.leave(CANCELLER, "the update is cancelled").await;
        };
        let done = tokio::select! {
            biased;
            done = self.forward(&new, update, &rights) => Some(done),
            () = cancelled => None,
        };
        self.world.note(format!("forward: {done:?}"));
        if let Some(Err(why)) = &done
            && is_first
            && update.is_calm()
            && !self.world.has_incidents()
        {
            self.world.fault(format!("nothing went wrong, and yet: {why}"));
        }
        match done {
            Some(Ok(())) => {
                self.succeeds(new, update.by).await;
                self.world.deployed(&broken);
                self.becomes("UPDATE_COMPLETE");
            }
            Some(Err(_)) if rollback_disabled => {
                crate::saw("an update that failed with rollback disabled");
                if update.by == By::ChangeSet {
                    self.world.stack.execution_is("EXECUTE_FAILED");
                }
                self.becomes("UPDATE_FAILED");
            }
            failed => {
                if failed.is_none() {
                    crate::saw("an update that was cancelled");
                }
                let undone = self.roll_back(&update.undo_pre, &update.undo_post).await;
                self.ends(&undone, update);
                return;
            }
        }
        self.world.check_violations();
        self.announce(update);
    }

    /// Notes how it is before the update, and makes its change set, if it has one. The tasks that it may stop.
    fn begins(&mut self, new: &Template, conditional: &[String], update: &Update) -> Rights {
        let physical = self.world.physical();
        let touched = self.current.touched(new);
        let rights = (update.by == By::ChangeSet).then(|| touched.into_iter().collect());
        match update.by {
            By::ChangeSet => {
                let changes = self.current.changes(new, conditional, &physical);
                self.world.stack.changes(changes);
                self.world.stack.execution_is("EXECUTE_IN_PROGRESS");
            }
            By::Direct => self.world.stack.changes_unseen(),
            By::StaleChangeSet => self.world.stack.execution_is("EXECUTE_COMPLETE"),
        }
        let undo = self.undo.get_or_insert_with(|| Undo {
            before: self.current.clone(),
            physical,
            touched: Vec::new(),
            actions: BTreeMap::new(),
            pre: false,
            post: false,
            rights: Some(BTreeSet::new()),
            execution_failed: update.execution_failed && update.by == By::ChangeSet,
            updates: 0,
        });
        undo.updates += 1;
        undo.rights = match (undo.rights.take(), &rights) {
            (Some(before), Some(now)) => Some(before.union(now).cloned().collect()),
            _ => None,
        };
        rights
    }

    /// The way there. What it returns is why it failed.
    async fn forward(&mut self, new: &Template, update: &Update, rights: &Rights) -> Result<(), String> {
        let names = new.resources.keys();
        let changed = names.filter_map(|name| Some((name, self.current.action(new, name)?)));
        let changed: Vec<(String, Action)> = changed.map(|(name, it)| (name.clone(), it)).collect();
        // Before DmsPre, at each resource, before DmsPost and after it.
        let parts = changed.len() + 3;
        let fails_at = update.fails.map(|it| usize::from(it.at) % parts);
        let fails = |part| match fails_at {
            Some(at) if at == part => Err(format!("part {part} of {parts} fails")),
            _ => Ok(()),
        };
        fails(0)?;
        self.undo.as_mut().unwrap().pre = true;
        self.ask(Ask::Pre, &update.pre, rights).await?;
        for (n, (name, action)) in changed.iter().enumerate() {
            let undo = self.undo.as_mut().unwrap();
            undo.touched.push(name.clone());
            let most = undo.actions.entry(name.clone()).or_insert(*action);
            *most = (*most).max(*action);
            let failed = fails(n + 1);
            if failed.is_ok() || update.fails.is_some_and(|Failure { done, .. }| done) {
                self.put_in_force(new, name, update.hasty).await?;
            }
            failed?;
        }
        fails(parts - 2)?;
        self.undo.as_mut().unwrap().post = true;
        self.ask(Ask::Post, &update.post, rights).await?;
        fails(parts - 1)
    }

    /// What comes between the last resource and the end.
    async fn succeeds(&mut self, new: Template, by: By) {
        self.becomes("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS");
        self.world.stack.execution_is("EXECUTE_COMPLETE");
        self.loses_all_but(&new, by != By::ChangeSet);
        self.current = new;
        self.list();
        if !self.adopted {
            crate::saw("an adoption");
            self.adopted = true;
            self.world.has_joined();
            // Healing knows the operation in which DmsPost was made, and no later one.
            if self.others_stop_tasks && self.undo.as_ref().is_some_and(|it| it.updates == 1) {
                self.world.others_stop_tasks();
            }
        }
        self.clean_up().await;
        self.undo = None;
    }

    /// What isn't in this template leaves the stack, to be deleted.
    fn loses_all_but(&mut self, template: &Template, unseen: bool) {
        let names = self.current.resources.keys();
        for name in names.filter(|name| !template.resources.contains_key(*name)) {
            let arn = self.world.arn(name).unwrap();
            if unseen {
                self.world.removed_unseen(&arn);
            }
            self.garbage.push((name.clone(), arn));
            self.world.remove(name);
        }
    }

    /// The way back. In an operation of its own it is the same.
    pub(crate) async fn roll_back(&mut self, pre: &Call, post: &Call) -> Result<(), String> {
        let undo = self.undo.clone().unwrap();
        if undo.rights.is_some() {
            self.world.stack.execution_is(if undo.execution_failed {
                "EXECUTE_FAILED"
            } else {
                "EXECUTE_IN_PROGRESS"
            });
        }
        self.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
        // What the update added has to go.
        let is_added = |name: &String| !undo.before.resources.contains_key(name);
        let mut rights = undo.rights.clone();
        if let Some(rights) = &mut rights {
            rights.extend(self.current.tasks().into_iter().filter(is_added));
        }
        if !self.adopted {
            // What joins in an update leaves in its rollback, without being called before. What DmsPost has had run by then
            // runs on: DMS refuses to change it back, and the rollback fails, and can be continued; or it is a new task,
            // which CloudFormation can't delete.
            self.world.nobody_pauses();
        }
        if undo.pre && self.adopted {
            self.ask(Ask::Pre, pre, &rights).await?;
            self.undo.as_mut().unwrap().pre = false;
        }
        for name in &undo.touched {
            if let (Some(before), Some(arn)) = (undo.before.resources.get(name), undo.physical.get(name)) {
                let now = self.world.arn(name).unwrap();
                if now == *arn {
                    let action = undo.actions[name];
                    self.world.change(arn, before, action, false).await?;
                } else {
                    self.garbage.retain(|(_, garbage)| garbage != arn);
                    if !self.adopted {
                        self.world.removed_unseen(&now);
                    }
                    self.garbage.push((name.clone(), now));
                    self.world.put(name, arn);
                }
                self.updated.insert(name.clone());
                self.current.resources.insert(name.clone(), before.clone());
                self.list();
            }
            let touched = &mut self.undo.as_mut().unwrap().touched;
            touched.retain(|it| it != name);
        }
        if undo.post && self.adopted {
            self.ask(Ask::Post, post, &rights).await?;
        }
        self.becomes("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS");
        self.loses_all_but(&undo.before, undo.rights.is_none() || !self.adopted);
        self.current = undo.before;
        self.list();
        if !self.adopted {
            crate::saw("an adoption that failed");
            for (name, resource_type) in self.present.split_off("") {
                self.world.stack.resource_goes(name, resource_type);
            }
        }
        self.clean_up().await;
        self.undo = None;
        Ok(())
    }

    /// What an operator does before a failed rollback is continued, once healing has done its part: skips the tasks that are
    /// gone; and if DmsPre is not going to be called again, has tasks rest as it would have.
    pub(crate) async fn prepare_to_continue(&mut self) {
        for event in self.events.drain(..) {
            event.await.unwrap();
        }
        let world = &self.world;
        let is_gone = |name: &String| {
            let arn = world.arn(name).filter(|_| name.starts_with("Task"));
            arn.is_some_and(|arn| world.dms.status(&arn).is_none())
        };
        let undo = self.undo.as_mut().unwrap();
        undo.touched.retain(|name| !is_gone(name));
        if !undo.pre {
            world.all_rest().await;
        }
    }

    /// The end of a rollback.
    pub(crate) fn ends(&mut self, undone: &Result<(), String>, update: &Update) {
        self.world.note(format!("rollback: {undone:?}"));
        self.becomes(match undone {
            Ok(()) => "UPDATE_ROLLBACK_COMPLETE",
            Err(_) => "UPDATE_ROLLBACK_FAILED",
        });
        self.world.check_violations();
        self.announce(update);
    }
}
