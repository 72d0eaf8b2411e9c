//! What there is when a test begins. Nothing here counts as a call.

use super::{Arn, TaskStatus};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::model::Model;
use super::refusal::Input;
use super::task::{Phase, StartType};
use super::timeline::Timeline;
use super::{Dms, PAUSE_MARK};

/// What a task is wired to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wiring {
    /// The endpoint it reads from.
    pub source: Arn,
    /// The endpoint it writes to.
    pub target: Arn,
    /// The instance it runs on.
    pub instance: Arn,
}

impl Dms {
    /// An instance, `available`, with an endpoint on each side, reached from it. Their names begin with `name`.
    pub fn add_wiring(&self, name: &str) -> Wiring {
        let wiring = Wiring {
            source: self.add_endpoint(&format!("{name}-source"), "source", "aurora"),
            target: self.add_endpoint(&format!("{name}-target"), "target", "kinesis"),
            instance: self.add_instance(&format!("{name}-instance")),
        };
        self.connect(&wiring.source, &wiring.instance);
        self.connect(&wiring.target, &wiring.instance);
        wiring
    }

    /// A replication instance, `available`.
    pub fn add_instance(&self, name: &str) -> Arn {
        let mut model = self.model();
        let now = Instant::now();
        let input =
            json!({ "ReplicationInstanceIdentifier": name, "ReplicationInstanceClass": "dms.t3.medium" });
        let answer = model.create_instance(now, Input(&input)).unwrap();
        let arn = arn(&answer["ReplicationInstance"]["ReplicationInstanceArn"]);
        model.instances.get_mut(&arn).unwrap().life = Timeline::new(now, "available");
        arn
    }

    /// An endpoint; its connections have not been tested.
    pub fn add_endpoint(&self, name: &str, side: &str, engine: &str) -> Arn {
        let input = json!({ "EndpointIdentifier": name, "EndpointType": side, "EngineName": engine });
        let answer = self.model().create_endpoint(Instant::now(), Input(&input));
        arn(&answer.unwrap()["Endpoint"]["EndpointArn"])
    }

    /// Somebody has made a replication slot in PostgreSQL.
    pub fn has_slot(&self, name: &str) {
        self.model().slots.insert(name.to_owned());
    }

    /// A source is a database of this kind. `slot` is a replication slot in it that the endpoint names.
    pub fn reads(&self, source: &Arn, engine: &str, slot: Option<&str>) {
        let mut model = self.model();
        model.slots.extend(slot.map(str::to_owned));
        let document = &mut model.endpoints.get_mut(source).unwrap().document;
        document.insert("EngineName".to_owned(), json!(engine));
        document.insert("PostgreSQLSettings".to_owned(), json!({ "SlotName": slot }));
    }

    /// A successful connection test, long enough ago for everybody to see it.
    pub fn connect(&self, endpoint: &Arn, instance: &Arn) {
        let mut model = self.model();
        let tested = Timeline::new(model.seen(Instant::now()), ("successful", None));
        let connection = (endpoint.clone(), instance.clone());
        model.connections.insert(connection, tested);
    }

    /// Puts on a task the pause mark of a request.
    pub fn mark(&self, task: &Arn, request_id: &str) {
        let mut model = self.model();
        let tags = model.tags.entry(task.clone()).or_default();
        tags.insert(format!("{PAUSE_MARK}:{request_id}"), "the stage".to_owned());
    }

    /// Takes all pause marks off a task.
    pub fn unmark(&self, task: &Arn) {
        if let Some(tags) = self.model().tags.get_mut(task) {
            tags.retain(|key, _| !key.starts_with(PAUSE_MARK));
        }
    }

    /// A CDC task in this status, wired to an instance and endpoints that all tasks added so share.
    pub fn add_task(&self, name: &str, status: TaskStatus) -> Arn {
        let shared = self.model().shared.clone();
        let wiring = shared.unwrap_or_else(|| self.add_wiring("shared"));
        self.model().shared = Some(wiring.clone());
        self.add_wired_task(name, status, "cdc", &wiring)
    }

    /// A task of this type, in this status, wired so. A task in transit goes on from there by itself. One that is added
    /// as `starting`, `running`, `stopping`, `stopped`, `failed` or `failed-move` has run; any other never has.
    pub fn add_wired_task(
        &self,
        name: &str,
        status: TaskStatus,
        migration_type: &str,
        wiring: &Wiring,
    ) -> Arn {
        let rule = json!({
            "rule-type": "selection", "rule-id": "1", "rule-name": "all", "rule-action": "include",
            "object-locator": { "schema-name": "%", "table-name": "%" },
        });
        let input = json!({
            "ReplicationTaskIdentifier": name,
            "MigrationType": migration_type,
            "SourceEndpointArn": wiring.source.as_str(),
            "TargetEndpointArn": wiring.target.as_str(),
            "ReplicationInstanceArn": wiring.instance.as_str(),
            "TableMappings": json!({ "rules": [rule] }).to_string(),
        });
        let now = Instant::now();
        let mut model = self.model();
        let answer = model.create_task(now, Input(&input)).unwrap();
        let arn = arn(&answer["ReplicationTask"]["ReplicationTaskArn"]);
        let never_ran = Timeline::new(now, Phase::new(TaskStatus::Ready));
        model.task_mut(now, &arn).unwrap().life = never_ran;
        model.becomes(now, &arn, status);
        // Long enough ago for everybody to see it.
        let before = now.checked_sub(model.pace.lag).unwrap_or(now);
        model.task_mut(now, &arn).unwrap().backdate(now, before);
        arn
    }
}

impl Model {
    /// Puts a task into a status, and lets it go on from there as it would.
    pub(super) fn becomes(&mut self, now: Instant, arn: &Arn, status: TaskStatus) {
        let (head, pace) = (self.binlog_head(now), self.pace.clone());
        let task = self.task_mut(now, arn).unwrap();
        let rested = task.life.at(now).is_some_and(Phase::rests);
        let runs = task.runs.last().is_some_and(|run| run.ended.is_none());
        let works = matches!(status, TaskStatus::Starting | TaskStatus::Running);
        let has_run = matches!(
            status,
            TaskStatus::Stopping | TaskStatus::Stopped | TaskStatus::Failed | TaskStatus::FailedMove
        );
        if (works && !runs) || (has_run && task.runs.is_empty()) {
            let first = task.runs.is_empty();
            let start_type = if first { StartType::Start } else { StartType::Resume };
            task.begin(now, start_type, None, (head.clone(), true), &pace);
        }
        let rest = match task.life.at(now) {
            Some(rest) if rested && rest.rests() => rest.clone(),
            _ if task.runs.is_empty() => Phase::new(TaskStatus::Ready),
            _ => Phase::stopped("NORMAL", task.checkpoint(&head)),
        };
        let through = Phase { status: status.clone(), ..rest.clone() };
        let running = Phase::new(TaskStatus::Running);
        match status {
            TaskStatus::Starting => {
                let starting = Phase::new(status);
                task.life.turn(now, starting).then(pace.start, Some(running));
                task.finishes_by_itself(now + pace.start, &pace);
            }
            TaskStatus::Running => {
                task.life.turn(now, running);
                task.finishes_by_itself(now, &pace);
            }
            TaskStatus::Stopping => task.end(now, &head, &pace),
            TaskStatus::Stopped => {
                task.life.turn(now, Phase::stopped("NORMAL", rest.checkpoint));
                task.run_ends(now);
            }
            TaskStatus::Failed => {
                task.life.turn(
                    now,
                    Phase::failed("Last Error. Task error notification received.", rest.checkpoint),
                );
                task.run_ends(now);
            }
            TaskStatus::Creating => {
                task.life.turn(now, through).then(pace.create, Some(rest));
            }
            TaskStatus::Modifying | TaskStatus::Testing | TaskStatus::Moving => {
                task.life.turn(now, through).then(pace.modify, Some(rest));
            }
            TaskStatus::Deleting => {
                task.life.turn(now, through).then(pace.delete, None);
            }
            TaskStatus::Ready | TaskStatus::FailedMove | TaskStatus::Unknown(_) => {
                task.life.turn(now, through);
            }
        }
    }
}

fn arn(value: &Value) -> Arn {
    Arn::new(value.as_str().unwrap())
}
