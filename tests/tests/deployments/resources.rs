//! How CloudFormation makes, changes and deletes resources of DMS.

use std::time::Duration;

use serde_json::{Value, json};
use stage::dms::{Arn, TaskStatus};
use tokio::time::sleep;

use crate::template::{Action, Kind, Resource};
use crate::world::World;

impl World {
    /// Makes a resource, and waits until it is there.
    pub(crate) async fn make(&self, name: &str, serial: u32, resource: &Resource) -> Result<Arn, String> {
        self.asks_leave("a resource is made").await;
        let identifier = format!("{}-{serial}", name.to_lowercase());
        let (operation, kind, mut input) = match &resource.kind {
            Kind::Source | Kind::Target => {
                let (side, engine) =
                    if resource.kind == Kind::Source { ("source", "aurora") } else { ("target", "kinesis") };
                let input =
                    json!({ "EndpointIdentifier": identifier, "EndpointType": side, "EngineName": engine });
                ("CreateEndpoint", "Endpoint", input)
            }
            Kind::Instance => {
                let input = json!({
                    "ReplicationInstanceIdentifier": identifier,
                    "ReplicationInstanceClass": "dms.t3.medium",
                });
                ("CreateReplicationInstance", "ReplicationInstance", input)
            }
            Kind::Task { loads, uses } => {
                let [source, target, instance] =
                    uses.clone().map(|(used, _)| self.arn(&used).map(|arn| arn.to_string()));
                let input = json!({
                    "ReplicationTaskIdentifier": identifier,
                    "MigrationType": if *loads { "full-load-and-cdc" } else { "cdc" },
                    "SourceEndpointArn": source,
                    "TargetEndpointArn": target,
                    "ReplicationInstanceArn": instance,
                    "TableMappings": mappings(resource),
                });
                ("CreateReplicationTask", "ReplicationTask", input)
            }
        };
        input["Tags"] = json!([{ "Key": "team", "Value": resource.tags.to_string() }]);
        let made = self.call(operation, &input).await;
        let made = made.map_err(|refusal| refusal.to_string())?;
        let arn = Arn::new(made[kind][format!("{kind}Arn")].as_str().unwrap());
        if resource.is_task() {
            while self.dms.status(&arn) == Some(TaskStatus::Creating) {
                sleep(Duration::from_secs(1)).await;
            }
        } else if resource.kind == Kind::Instance {
            self.instance_is_available(&arn).await;
        }
        Ok(arn)
    }

    async fn instance_is_available(&self, arn: &Arn) {
        let filter = json!({ "Filters": [{ "Name": "replication-instance-arn", "Values": [arn.as_str()] }] });
        loop {
            let found = self.dms.call("DescribeReplicationInstances", &filter);
            if found.is_ok_and(|it| it["ReplicationInstances"][0]["ReplicationInstanceStatus"] == "available")
            {
                return;
            }
            sleep(Duration::from_secs(2)).await;
        }
    }

    /// Changes a resource in place, to what it is to be.
    pub(crate) async fn change(
        &self,
        arn: &Arn,
        resource: &Resource,
        action: Action,
        hasty: bool,
    ) -> Result<(), String> {
        self.asks_leave("a resource changes").await;
        let tags = json!([{ "Key": "team", "Value": resource.tags.to_string() }]);
        let tagging = json!({ "ResourceArn": arn.as_str(), "Tags": tags });
        self.call("AddTagsToResource", &tagging).await.map_err(|refusal| refusal.to_string())?;
        if action == Action::Tag {
            return Ok(());
        }
        let (operation, input): (_, Value) = match resource.kind {
            Kind::Source | Kind::Target => (
                "ModifyEndpoint",
                json!({ "EndpointArn": arn.as_str(), "ServerName": format!("host-{}", resource.version) }),
            ),
            Kind::Instance => {
                self.instance_is_available(arn).await;
                (
                    "ModifyReplicationInstance",
                    json!({ "ReplicationInstanceArn": arn.as_str(), "AllocatedStorage": 50 + resource.version }),
                )
            }
            Kind::Task { .. } => {
                // One that was cancelled may still be under way.
                while self.dms.status(arn) == Some(TaskStatus::Modifying) {
                    sleep(Duration::from_secs(1)).await;
                }
                self.must_rest(std::slice::from_ref(arn), "it was to be modified");
                (
                    "ModifyReplicationTask",
                    json!({ "ReplicationTaskArn": arn.as_str(), "TableMappings": mappings(resource) }),
                )
            }
        };
        self.call(operation, &input).await.map_err(|refusal| refusal.to_string())?;
        if resource.is_task() && self.reconciles_tags {
            let others = self.dms.tags(arn).into_keys().filter(|key| key != "team");
            let others = json!({ "ResourceArn": arn.as_str(), "TagKeys": others.collect::<Vec<_>>() });
            self.call("RemoveTagsFromResource", &others).await.map_err(|refusal| refusal.to_string())?;
        }
        match resource.kind {
            Kind::Task { .. } if !hasty => {
                while self.dms.status(arn) == Some(TaskStatus::Modifying) {
                    sleep(Duration::from_secs(1)).await;
                }
            }
            Kind::Instance => self.instance_is_available(arn).await,
            _ => {}
        }
        Ok(())
    }

    /// Deletes a resource; in a clean-up, CloudFormation leaves behind what it can't delete.
    pub(crate) async fn delete(&self, name: &str, arn: &Arn) {
        let (operation, member) = if name.starts_with("Task") {
            self.must_rest(std::slice::from_ref(arn), "it was to be deleted");
            ("DeleteReplicationTask", "ReplicationTaskArn")
        } else if name.starts_with("Instance") {
            ("DeleteReplicationInstance", "ReplicationInstanceArn")
        } else {
            ("DeleteEndpoint", "EndpointArn")
        };
        let _ = self.call(operation, &json!({ member: arn.as_str() })).await;
        while name.starts_with("Task") && self.dms.status(arn) == Some(TaskStatus::Deleting) {
            sleep(Duration::from_secs(1)).await;
        }
    }
}

fn mappings(resource: &Resource) -> String {
    let rule = json!({
        "rule-type": "selection", "rule-id": "1", "rule-name": format!("v{}", resource.version), "rule-action": "include",
        "object-locator": { "schema-name": "%", "table-name": "%" },
    });
    json!({ "rules": [rule] }).to_string()
}
