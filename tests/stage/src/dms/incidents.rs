//! What goes wrong, or is done by others, while a test runs. Nothing here counts as a call.

use super::{Arn, TaskStatus};
use serde_json::json;
use tokio::time::Instant;

use super::Dms;
use super::refusal::{Input, Refusal};
use super::task::Phase;
use super::throttle::Throttle;

impl Dms {
    /// Refuses the next call of an operation; said twice, the next two.
    pub fn fail_next(&self, operation: &str, refusal: Refusal) {
        let mut model = self.model();
        let next = model.ledger.calls(operation) + 1;
        let faults = model.faults.entry(operation.to_owned()).or_default();
        let free = (next..).find(|number| !faults.contains_key(number));
        faults.insert(free.unwrap(), refusal);
    }

    /// Refuses the `number`th call of an operation, counted from 1 and from the beginning.
    pub fn fail_nth(&self, operation: &str, number: usize, refusal: Refusal) {
        let mut model = self.model();
        let faults = model.faults.entry(operation.to_owned());
        faults.or_default().insert(number, refusal);
    }

    /// Throttles all calls from now on.
    pub fn throttles(&self, throttle: Throttle) {
        self.model().throttle = Some(throttle);
    }

    /// Leaves the beginnings and ends of runs out of all descriptions of tasks from now on.
    pub fn tells_no_dates(&self) {
        self.model().tells_dates = false;
    }

    /// From now on a task's change moves the date of its last stop. Whether DMS's does is not known.
    pub fn moves_dates(&self) {
        self.model().moves_dates = true;
    }

    /// Makes a task's next run fail, after `starting`, with this `LastFailureMessage`.
    pub fn fail_next_run(&self, task: &Arn, message: &str) {
        let mut model = self.model();
        let task = model.task_mut(Instant::now(), task).unwrap();
        task.next_run_fails = Some(message.to_owned());
    }

    /// Breaks a running task.
    pub fn fail_run(&self, task: &Arn, message: &str) {
        let now = Instant::now();
        let mut model = self.model();
        let head = model.binlog_head(now);
        let status = &model.phase(now, task).unwrap().status;
        assert_eq!(*status, TaskStatus::Running, "only what runs can break");
        let head = model.abort_feed(task).unwrap_or(head);
        let task = model.task_mut(now, task).unwrap();
        task.fail(now, &head, message);
    }

    /// Puts a task into a status, and lets it go on from there by itself.
    pub fn becomes(&self, task: &Arn, status: TaskStatus) {
        self.model().becomes(Instant::now(), task, status);
    }

    /// Puts a task into a status, known or not, in which it stays.
    pub fn stays(&self, task: &Arn, status: &str) {
        let now = Instant::now();
        let mut model = self.model();
        let task = model.task_mut(now, task).unwrap();
        let status = TaskStatus::from(status);
        let phase = task.life.at(now).cloned().unwrap();
        task.life.turn(now, Phase { status, ..phase });
    }

    /// Makes the connection tests of an endpoint fail from now on; what has been tested is as it was.
    pub fn unreachable(&self, endpoint: &Arn, message: &str) {
        let message = message.to_owned();
        self.model().unreachable.insert(endpoint.clone(), message);
    }

    /// Makes them succeed again.
    pub fn reachable(&self, endpoint: &Arn) {
        self.model().unreachable.remove(endpoint);
    }

    /// Forgets the connection tests of an endpoint, as DMS does at times.
    pub fn forget_connections(&self, endpoint: &Arn) {
        let connections = &mut self.model().connections;
        connections.retain(|(tested, _), _| tested != endpoint);
    }

    /// Somebody stops a task by hand.
    pub fn operator_stops(&self, task: &Arn) {
        let input = json!({ "ReplicationTaskArn": task.as_str() });
        let answer = self.model().stop_task(Instant::now(), Input(&input));
        answer.unwrap();
    }

    /// Somebody resumes a task by hand.
    pub fn operator_resumes(&self, task: &Arn) {
        let input =
            json!({ "ReplicationTaskArn": task.as_str(), "StartReplicationTaskType": "resume-processing" });
        let answer = self.model().start_task(Instant::now(), Input(&input));
        answer.unwrap();
    }
}
