//! Operations on tasks.

use super::{Arn, TaskStatus};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::listing::Listing;
use super::model::Model;
use super::refusal::{Document, Input, Refusal, text};
use super::settings::{check_table_mappings, check_task_settings};
use super::task::{Phase, StartType, Task};
use super::timeline::Timeline;

const TASKS: Listing = Listing {
    list: "ReplicationTasks",
    things: "Tasks",
    filters: &[
        ("replication-task-arn", &["ReplicationTaskArn"]),
        ("replication-task-id", &["ReplicationTaskIdentifier"]),
        ("migration-type", &["MigrationType"]),
        ("endpoint-arn", &["SourceEndpointArn", "TargetEndpointArn"]),
        ("replication-instance-arn", &["ReplicationInstanceArn"]),
    ],
};

impl Model {
    pub(super) fn create_task(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let name = input.identifier("ReplicationTaskIdentifier")?;
        let instance = input.arn("ReplicationInstanceArn")?;
        check_task_documents(input)?;
        self.check_position(input)?;
        input.required("TableMappings")?;
        input.required("MigrationType")?;
        self.available_instance(now, &instance)?;
        for (member, side) in [("SourceEndpointArn", "SOURCE"), ("TargetEndpointArn", "TARGET")] {
            let endpoint = self.endpoint(now, &input.arn(member)?)?;
            if text(&endpoint.document, "EndpointType") != side {
                let why = format!("{member} must name a {} endpoint", side.to_lowercase());
                return Err(Refusal::bad_value(why));
            }
        }
        self.task_name_is_free(now, &name)?;
        let arn = self.new_arn(now, "task", &name, input)?;
        let mut document = Document::new();
        input.write_to(&mut document, &["Tags", "ResourceIdentifier", "CdcStartTime"]);
        document.insert("ReplicationTaskIdentifier".to_owned(), json!(name));
        document.insert("ReplicationTaskArn".to_owned(), json!(arn.as_str()));
        let mut life = Timeline::new(now, Phase::new(TaskStatus::Creating));
        life.then(self.pace.create, Some(Phase::new(TaskStatus::Ready)));
        let task = Task {
            document,
            serial: self.serial,
            created: now,
            life,
            runs: Vec::new(),
            loaded: false,
            next_run_fails: None,
        };
        self.tasks.insert(arn.clone(), task);
        self.tag(&arn, input);
        self.described_task(now, &arn)
    }

    pub(super) fn modify_task(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = input.arn("ReplicationTaskArn")?;
        let phase = self.phase(now, &arn)?.clone();
        if !phase.rests() {
            return Err(Refusal::invalid_state(format!(
                "Replication Task, excluding logging severity task settings, cannot be modified while it is {} state",
                phase.status
            )));
        }
        check_task_documents(input)?;
        self.check_position(input)?;
        let name = input.text("ReplicationTaskIdentifier");
        let name = name.map(|_| input.identifier("ReplicationTaskIdentifier"));
        let name = name.transpose()?;
        let task = self.task(now, &arn)?;
        if let Some(name) = name.as_deref().filter(|name| *name != task.name()) {
            self.task_name_is_free(now, name)?;
        }
        let (modify, moves_dates) = (self.pace.modify, self.moves_dates);
        let task = self.task_mut(now, &arn)?;
        if moves_dates && !task.runs.is_empty() {
            task.run_ends(now);
        }
        input.write_to(&mut task.document, &["CdcStartTime"]);
        if let Some(name) = name {
            let document = &mut task.document;
            document.insert("ReplicationTaskIdentifier".to_owned(), json!(name));
        }
        let modifying = Phase { status: TaskStatus::Modifying, ..phase.clone() };
        task.life.turn(now, modifying).then(modify, Some(phase));
        self.described_task(now, &arn)
    }

    pub(super) fn delete_task(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = input.arn("ReplicationTaskArn")?;
        let phase = self.phase(now, &arn)?;
        if !phase.rests() {
            let why = format!("Replication Task cannot be deleted while it is {} state", phase.status);
            return Err(Refusal::invalid_state(why));
        }
        let mut answer = self.described_task(now, &arn)?;
        answer["ReplicationTask"]["Status"] = json!("deleting");
        let delete = self.pace.delete;
        let task = self.task_mut(now, &arn)?;
        task.life.turn(now, Phase::new(TaskStatus::Deleting)).then(delete, None);
        Ok(answer)
    }

    pub(super) fn describe_tasks(&self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let bare = input.0.get("WithoutSettings") == Some(&json!(true));
        let seen = self.seen(now);
        let dates = self.tells_dates.then_some(now);
        let tasks = self.tasks.iter().filter_map(|(arn, task)| {
            let mut document = task.describe(seen, dates, |at| self.timestamp(at))?;
            if bare {
                document.remove("ReplicationTaskSettings");
                document.remove("TableMappings");
            }
            Some((arn.to_string(), Value::Object(document)))
        });
        TASKS.page(input, tasks)
    }

    pub(super) fn start_task(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = input.arn("ReplicationTaskArn")?;
        let (rests, status) = {
            let phase = self.phase(now, &arn)?;
            (phase.rests(), phase.status.clone())
        };
        let asked = input.required("StartReplicationTaskType")?;
        let start_type = match asked {
            "start-replication" => StartType::Start,
            "resume-processing" => StartType::Resume,
            "reload-target" => StartType::Reload,
            other => return Err(Refusal::bad_value(format!("Invalid start type: {other}"))),
        };
        if !rests {
            let why = format!("Replication Task cannot be started, invalid state: {status}");
            return Err(Refusal::invalid_state(why));
        }
        let task = self.task(now, &arn)?;
        check_start(task, start_type, input)?;
        self.available_instance(now, &Arn::new(text(&task.document, "ReplicationInstanceArn")))?;
        self.check_connections(now, task)?;
        let name = task.name().to_owned();
        if start_type == StartType::Reload {
            self.violation(now, format!("task {name} loaded its tables again"));
        }
        self.check_position(input)?;
        let (head, pace) = (self.binlog_head(now), self.pace.clone());
        let has_log = self.slot(now, &arn, start_type, input)?;
        let task = self.task_mut(now, &arn)?;
        let feeds = task.next_run_fails.is_none();
        task.begin(now, start_type, input.text("CdcStartPosition"), (head, has_log), &pace);
        if feeds {
            self.feed(now, &arn);
        }
        self.described_task(now, &arn)
    }

    /// Whether a run finds the log that it is to begin in. In PostgreSQL a replication slot keeps it, from the slot's birth
    /// on: without a `SlotName`, each task's first run makes one, and is told no error.
    fn slot(
        &mut self,
        now: Instant,
        arn: &Arn,
        start_type: StartType,
        input: Input<'_>,
    ) -> Result<bool, Refusal> {
        let task = self.task(now, arn)?;
        let name = task.name().to_owned();
        let source = &self.endpoint(now, &Arn::new(text(&task.document, "SourceEndpointArn")))?.document;
        let of_postgres = text(source, "EngineName").contains("postgres") && task.follows();
        if !of_postgres || start_type == StartType::Resume {
            return Ok(true);
        }
        let has_position =
            input.text("CdcStartPosition").is_some() || !text(&task.document, "CdcStartPosition").is_empty();
        let settings = source.get("PostgreSQLSettings");
        let slot = settings.and_then(|it| it["SlotName"].as_str()).map(str::to_owned);
        let Some(slot) = slot else {
            if has_position {
                self.violation(now, format!("task {name} lost what came before its replication slot"));
            }
            return Ok(false);
        };
        let failure = match (self.slots.contains(&slot), has_position) {
            (false, _) => format!("replication slot \"{slot}\" does not exist"),
            (true, false) => format!("replication slot \"{slot}\" needs a valid CdcStartPosition"),
            (true, true) => return Ok(true),
        };
        self.task_mut(now, arn)?.next_run_fails = Some(failure);
        Ok(true)
    }

    pub(super) fn stop_task(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = input.arn("ReplicationTaskArn")?;
        if self.phase(now, &arn)?.status != TaskStatus::Running {
            let why = format!("Replication Task {arn} is currently not running");
            return Err(Refusal::invalid_state(why));
        }
        let (head, pace) = (self.binlog_head(now), self.pace.clone());
        let ends_later = self.stop_feed(&arn);
        let task = self.task_mut(now, &arn)?;
        if ends_later {
            let stopping = Phase::new(TaskStatus::Stopping);
            task.life.turn(now, stopping);
        } else {
            task.end(now, &head, &pace);
        }
        self.described_task(now, &arn)
    }

    fn task_name_is_free(&self, now: Instant, name: &str) -> Result<(), Refusal> {
        let mut living = self.tasks.values().filter(|task| task.life.at(now).is_some());
        let taken = living.any(|task| task.name() == name);
        if taken {
            return Err(Refusal::already_exists("Replication Task", name));
        }
        Ok(())
    }

    fn described_task(&self, now: Instant, arn: &Arn) -> Result<Value, Refusal> {
        let dates = self.tells_dates.then_some(now);
        let task = self.task(now, arn)?;
        let document = task.describe(now, dates, |at| self.timestamp(at));
        Ok(json!({ "ReplicationTask": document }))
    }
}

/// What a task is created and modified with: as far as it is given, it must be right.
fn check_task_documents(input: Input<'_>) -> Result<(), Refusal> {
    if let Some(mappings) = input.text("TableMappings") {
        check_table_mappings(mappings)?;
    }
    if let Some(settings) = input.text("ReplicationTaskSettings") {
        check_task_settings(settings)?;
    }
    let migration_type = input.text("MigrationType").unwrap_or("cdc");
    if !["full-load", "cdc", "full-load-and-cdc"].contains(&migration_type) {
        let why = format!("Invalid migration type: {migration_type}");
        return Err(Refusal::bad_value(why));
    }
    check_one_position(input)
}

fn check_one_position(input: Input<'_>) -> Result<(), Refusal> {
    let given = |name: &str| input.0.get(name).is_some_and(|value| !value.is_null());
    if given("CdcStartPosition") && given("CdcStartTime") {
        let why = "Only one of CdcStartPosition and CdcStartTime can be specified";
        return Err(Refusal::bad_combination(why));
    }
    Ok(())
}

/// Whether a task can be started in this way at all.
fn check_start(task: &Task, start_type: StartType, input: Input<'_>) -> Result<(), Refusal> {
    check_one_position(input)?;
    let ran = !task.runs.is_empty();
    match start_type {
        StartType::Start if ran => Err(Refusal::bad_combination(
            "Start Type : START_REPLICATION, valid only for tasks running for the first time",
        )),
        StartType::Resume if !ran => Err(Refusal::bad_combination(
            "Start Type : RESUME_PROCESSING, not valid for tasks running for the first time",
        )),
        StartType::Reload if !ran || !task.loads() => Err(Refusal::bad_combination(
            "Start Type : RELOAD_TARGET, valid only for tasks with a full load that have run before",
        )),
        _ if !task.follows() && input.text("CdcStartPosition").is_some() => {
            Err(Refusal::bad_combination("CdcStartPosition is not valid for Migration Type : full-load"))
        }
        _ => Ok(()),
    }
}
