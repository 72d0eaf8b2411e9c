//! The model: what exists, and which operation does what to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use super::Arn;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::endpoints::Connection;
use super::feed::Feed;
use super::history::Ledger;
use super::pace::Pace;
use super::refusal::{Document, Input, Refusal, text};
use super::scene::Wiring;
use super::task::{Phase, Task};
use super::throttle::Throttle;
use super::timeline::Timeline;
use crate::aws::Clock;

/// A resource whose states are but words: an endpoint or an instance.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) document: Document,
    pub(super) life: Timeline<&'static str>,
}

/// Everything there is.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) pace: Pace,
    pub(super) clock: Clock,
    pub(super) serial: u64,
    pub(super) groups: BTreeMap<String, Document>,
    pub(super) instances: BTreeMap<Arn, Resource>,
    pub(super) endpoints: BTreeMap<Arn, Resource>,
    pub(super) connections: BTreeMap<(Arn, Arn), Connection>,
    /// Why the connection tests of these endpoints fail.
    pub(super) unreachable: BTreeMap<Arn, String>,
    /// All tasks there ever were: those that are gone still have their history.
    pub(super) tasks: BTreeMap<Arn, Task>,
    pub(super) tags: BTreeMap<Arn, BTreeMap<String, String>>,
    /// The replication slots that somebody has made in PostgreSQL.
    pub(super) slots: BTreeSet<String>,
    /// The calls to refuse, by operation and number.
    pub(super) faults: BTreeMap<String, BTreeMap<usize, Refusal>>,
    pub(super) throttle: Option<Throttle>,
    /// Whether descriptions of tasks say when a run began and ended.
    pub(super) tells_dates: bool,
    /// Whether a task's change moves the date of its last stop.
    pub(super) moves_dates: bool,
    pub(super) ledger: Ledger,
    /// What moves rows; without it, runs are but phases of a task.
    pub(super) replica: Option<Feed>,
    /// What tests wire tasks to when they don't care.
    pub(super) shared: Option<Wiring>,
}

impl Model {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            clock: Clock::start(),
            serial: 0,
            groups: BTreeMap::new(),
            instances: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            connections: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            tasks: BTreeMap::new(),
            tags: BTreeMap::new(),
            slots: BTreeSet::new(),
            faults: BTreeMap::new(),
            throttle: None,
            tells_dates: true,
            moves_dates: false,
            ledger: Ledger::default(),
            replica: None,
            shared: None,
        }
    }

    /// Carries out a call, and writes it down.
    pub(super) fn call(&mut self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        let now = Instant::now();
        let number = self.ledger.calls(operation) + 1;
        let faults = self.faults.get_mut(operation);
        let fault = faults.and_then(|faults| faults.remove(&number));
        let throttled = self.throttle.as_mut().is_some_and(|it| !it.admits(now));
        let answer = match fault {
            Some(fault) => Err(fault),
            None if throttled => Err(Refusal::throttled()),
            None => self.carry_out(now, operation, Input(input)),
        };
        let subjects = ["ReplicationTaskArn", "EndpointArn", "ReplicationInstanceArn", "ResourceArn"];
        let subject = subjects.iter().find_map(|name| Input(input).text(name));
        let refused = answer.as_ref().err().map(|refusal| refusal.code.clone());
        let at = self.since_start(now);
        self.ledger.call(at, operation, subject.map(Arn::new), refused);
        answer
    }

    fn carry_out(&mut self, now: Instant, operation: &str, input: Input<'_>) -> Result<Value, Refusal> {
        match operation {
            "CreateReplicationSubnetGroup" => self.create_group(input),
            "ModifyReplicationSubnetGroup" => self.modify_group(input),
            "DeleteReplicationSubnetGroup" => self.delete_group(now, input),
            "DescribeReplicationSubnetGroups" => self.describe_groups(input),
            "CreateReplicationInstance" => self.create_instance(now, input),
            "ModifyReplicationInstance" => self.modify_instance(now, input),
            "DeleteReplicationInstance" => self.delete_instance(now, input),
            "DescribeReplicationInstances" => self.describe_instances(now, input),
            "CreateEndpoint" => self.create_endpoint(now, input),
            "ModifyEndpoint" => self.modify_endpoint(now, input),
            "DeleteEndpoint" => self.delete_endpoint(now, input),
            "DescribeEndpoints" => self.describe_endpoints(now, input),
            "TestConnection" => self.test_connection(now, input),
            "DescribeConnections" => self.describe_connections(now, input),
            "CreateReplicationTask" => self.create_task(now, input),
            "ModifyReplicationTask" => self.modify_task(now, input),
            "DeleteReplicationTask" => self.delete_task(now, input),
            "DescribeReplicationTasks" => self.describe_tasks(now, input),
            "StartReplicationTask" => self.start_task(now, input),
            "StopReplicationTask" => self.stop_task(now, input),
            "AddTagsToResource" => self.add_tags(now, input),
            "RemoveTagsFromResource" => self.remove_tags(now, input),
            "ListTagsForResource" => self.list_tags(now, input),
            unknown => Err(Refusal::new(
                "UnknownOperationException",
                format!("The stand-in for DMS knows no operation {unknown}"),
            )),
        }
    }

    pub(super) fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.clock.origin)
    }

    /// The moment of which a description tells, if it is made now.
    pub(super) fn seen(&self, now: Instant) -> Instant {
        now.checked_sub(self.pace.lag).unwrap_or(self.clock.origin)
    }

    /// A moment as DMS writes it: seconds since 1970.
    pub(super) fn timestamp(&self, at: Instant) -> Value {
        let at = self.clock.epoch + self.since_start(at);
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        json!(at.as_millis() as f64 / 1_000.0)
    }

    /// The end of the source's binlog, as a position. It grows by a byte a millisecond.
    pub(super) fn binlog_head(&self, at: Instant) -> String {
        let position = 154 + self.since_start(at).as_millis();
        format!("mysql-bin-changelog.000002:{position}")
    }

    pub(super) fn violation(&mut self, now: Instant, what: String) {
        let at = self.since_start(now);
        self.ledger.violation(at, what);
    }

    /// A new ARN. Its last part is the one asked for, or one in DMS's form: 26 capitals and digits.
    pub(super) fn new_arn(
        &mut self,
        now: Instant,
        kind: &str,
        name: &str,
        input: Input<'_>,
    ) -> Result<Arn, Refusal> {
        self.serial += 1;
        let made = || {
            let letters = name.chars().filter(char::is_ascii_alphanumeric).take(18);
            let letters: String = letters.collect::<String>().to_uppercase();
            let width = 26 - letters.len();
            format!("{letters}{:0>width$}", self.serial)
        };
        let resource = input.text("ResourceIdentifier");
        let resource = resource.map_or_else(made, str::to_owned);
        let arn = Arn::new(format!("arn:aws:dms:eu-west-1:000000000000:{kind}:{resource}"));
        if self.exists(now, &arn) {
            return Err(Refusal::already_exists("Resource", arn.as_str()));
        }
        self.tags.remove(&arn);
        Ok(arn)
    }

    /// Whether there is something with this ARN.
    pub(super) fn exists(&self, now: Instant, arn: &Arn) -> bool {
        let lives = |resource: &Resource| resource.life.at(now).is_some();
        let task = self.tasks.get(arn);
        task.is_some_and(|task| task.life.at(now).is_some())
            || self.endpoints.get(arn).is_some_and(lives)
            || self.instances.get(arn).is_some_and(lives)
            || self.groups.keys().any(|name| group_arn(name) == *arn)
    }

    pub(super) fn task(&self, now: Instant, arn: &Arn) -> Result<&Task, Refusal> {
        let task = self.tasks.get(arn);
        task.filter(|task| task.life.at(now).is_some()).ok_or_else(|| no_task(arn))
    }

    pub(super) fn task_mut(&mut self, now: Instant, arn: &Arn) -> Result<&mut Task, Refusal> {
        let task = self.tasks.get_mut(arn);
        task.filter(|task| task.life.at(now).is_some()).ok_or_else(|| no_task(arn))
    }

    /// The truth about a task.
    pub(super) fn phase(&self, now: Instant, arn: &Arn) -> Result<&Phase, Refusal> {
        let task = self.tasks.get(arn);
        task.and_then(|task| task.life.at(now)).ok_or_else(|| no_task(arn))
    }

    /// The tasks that exist and use an endpoint or an instance.
    pub(super) fn tasks_on<'a>(
        &'a self,
        now: Instant,
        arn: &'a Arn,
    ) -> impl Iterator<Item = (&'a Task, &'a Phase)> {
        let tasks = self.tasks.values();
        tasks.filter_map(move |task| {
            let phase = task.life.at(now).filter(|_| task.uses(arn.as_str()))?;
            Some((task, phase))
        })
    }

    /// Writes down that something is being modified under the tasks that work with it.
    pub(super) fn modified_under_tasks(&mut self, now: Instant, what: &str, arn: &Arn) {
        let working = self.tasks_on(now, arn).filter(|(_, phase)| phase.works());
        let names: Vec<_> = working.map(|(task, _)| task.name().to_owned()).collect();
        for task in names {
            self.violation(now, format!("{what} modified while task {task} ran"));
        }
    }
}

/// The ARN of a subnet group.
pub(super) fn group_arn(name: &str) -> Arn {
    Arn::new(format!("arn:aws:dms:eu-west-1:000000000000:subgrp:{name}"))
}

/// Whether a resource that still exists has this name.
pub(super) fn is_taken(resources: &BTreeMap<Arn, Resource>, now: Instant, member: &str, name: &str) -> bool {
    let mut living = resources.values().filter(|it| it.life.at(now).is_some());
    living.any(|resource| text(&resource.document, member) == name)
}

fn no_task(arn: &Arn) -> Refusal {
    Refusal::not_found(format!("Replication Task not found: {arn}"))
}
