//! Operations on replication instances and on the subnet groups they stand in.

use super::Arn;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::listing::Listing;
use super::model::{Model, Resource, group_arn, is_taken};
use super::refusal::{Document, Input, Refusal, text};
use super::timeline::Timeline;

const GROUPS: Listing = Listing {
    list: "ReplicationSubnetGroups",
    things: "Replication Subnet Groups",
    filters: &[("replication-subnet-group-id", &["ReplicationSubnetGroupIdentifier"])],
};

const INSTANCES: Listing = Listing {
    list: "ReplicationInstances",
    things: "Replication Instances",
    filters: &[
        ("replication-instance-arn", &["ReplicationInstanceArn"]),
        ("replication-instance-id", &["ReplicationInstanceIdentifier"]),
        ("replication-instance-class", &["ReplicationInstanceClass"]),
        ("engine-version", &["EngineVersion"]),
    ],
};

impl Model {
    pub(super) fn create_group(&mut self, input: Input<'_>) -> Result<Value, Refusal> {
        let name = input.required("ReplicationSubnetGroupIdentifier")?.to_lowercase();
        input.required("ReplicationSubnetGroupDescription")?;
        if self.groups.contains_key(&name) {
            return Err(Refusal::already_exists("Replication Subnet Group", &name));
        }
        let mut document = Document::new();
        write_group(&mut document, &name, input)?;
        self.groups.insert(name.clone(), document.clone());
        self.tag(&group_arn(&name), input);
        Ok(json!({ "ReplicationSubnetGroup": document }))
    }

    pub(super) fn modify_group(&mut self, input: Input<'_>) -> Result<Value, Refusal> {
        let name = input.required("ReplicationSubnetGroupIdentifier")?.to_lowercase();
        let document = self.groups.get_mut(&name).ok_or_else(|| no_group(&name))?;
        write_group(document, &name, input)?;
        Ok(json!({ "ReplicationSubnetGroup": document }))
    }

    pub(super) fn delete_group(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let name = input.required("ReplicationSubnetGroupIdentifier")?.to_lowercase();
        self.groups.get(&name).ok_or_else(|| no_group(&name))?;
        let mut living = self.instances.values().filter(|it| it.life.at(now).is_some());
        let group =
            |it: &Resource| it.document["ReplicationSubnetGroup"]["ReplicationSubnetGroupIdentifier"].clone();
        if living.any(|instance| group(instance) == json!(name)) {
            return Err(Refusal::invalid_state(format!(
                "Cannot delete Replication Subnet Group {name} because at least one replication instance is still \
                 using it"
            )));
        }
        self.groups.remove(&name);
        self.tags.remove(&group_arn(&name));
        Ok(json!({}))
    }

    pub(super) fn describe_groups(&self, input: Input<'_>) -> Result<Value, Refusal> {
        let groups = self.groups.iter();
        let groups = groups.map(|(name, group)| (name.clone(), Value::Object(group.clone())));
        GROUPS.page(input, groups)
    }

    pub(super) fn create_instance(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let name = input.identifier("ReplicationInstanceIdentifier")?;
        input.required("ReplicationInstanceClass")?;
        if is_taken(&self.instances, now, "ReplicationInstanceIdentifier", &name) {
            return Err(Refusal::already_exists("Replication Instance", &name));
        }
        let group = match input.text("ReplicationSubnetGroupIdentifier") {
            None => json!({ "ReplicationSubnetGroupIdentifier": "default" }),
            Some(group) => {
                let group = group.to_lowercase();
                json!(self.groups.get(&group).ok_or_else(|| no_group(&group))?)
            }
        };
        let arn = self.new_arn(now, "rep", &name, input)?;
        let mut document = Document::new();
        let address = format!("10.0.0.{}", 4 + self.serial % 250);
        for (member, value) in [
            ("AllocatedStorage", json!(50)),
            ("AutoMinorVersionUpgrade", json!(true)),
            ("EngineVersion", json!("3.6.1")),
            ("MultiAZ", json!(false)),
            ("PubliclyAccessible", json!(true)),
            ("ReplicationInstanceArn", json!(arn.as_str())),
            ("ReplicationInstancePrivateIpAddress", json!(address)),
            ("ReplicationInstancePrivateIpAddresses", json!([address])),
            ("ReplicationSubnetGroup", group),
            ("InstanceCreateTime", self.timestamp(now)),
        ] {
            document.insert(member.to_owned(), value);
        }
        write_instance(&mut document, input);
        let mut life = Timeline::new(now, "creating");
        life.then(self.pace.create, Some("available"));
        let instance = Resource { document, life };
        let described = described(&instance, "creating");
        self.instances.insert(arn.clone(), instance);
        self.tag(&arn, input);
        Ok(json!({ "ReplicationInstance": described }))
    }

    pub(super) fn modify_instance(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = input.arn("ReplicationInstanceArn")?;
        let instance = self.available_instance(now, &arn)?;
        let name = text(&instance.document, "ReplicationInstanceIdentifier");
        self.modified_under_tasks(now, &format!("instance {name}"), &arn);
        let modify = self.pace.modify;
        let instance = self.instances.get_mut(&arn).map(|instance| {
            write_instance(&mut instance.document, input);
            instance.life.turn(now, "modifying").then(modify, Some("available"));
            described(instance, "modifying")
        });
        Ok(json!({ "ReplicationInstance": instance }))
    }

    pub(super) fn delete_instance(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = input.arn("ReplicationInstanceArn")?;
        self.available_instance(now, &arn)?;
        if self.tasks_on(now, &arn).next().is_some() {
            let why = format!("Replication Instance {arn} has one or more replication tasks");
            return Err(Refusal::invalid_state(why));
        }
        self.connections.retain(|(_, instance), _| *instance != arn);
        let delete = self.pace.delete;
        let instance = self.instances.get_mut(&arn).map(|instance| {
            instance.life.turn(now, "deleting").then(delete, None);
            described(instance, "deleting")
        });
        Ok(json!({ "ReplicationInstance": instance }))
    }

    pub(super) fn describe_instances(&self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let instances = self.instances.iter().filter_map(|(arn, instance)| {
            let status = instance.life.at(now)?;
            Some((arn.to_string(), described(instance, status)))
        });
        INSTANCES.page(input, instances)
    }

    /// An instance that is there to be used.
    pub(super) fn available_instance(&self, now: Instant, arn: &Arn) -> Result<&Resource, Refusal> {
        let not_found = || Refusal::not_found(format!("Replication Instance not found: {arn}"));
        let instance = self.instances.get(arn).ok_or_else(not_found)?;
        match instance.life.at(now) {
            None => Err(not_found()),
            Some(&"available") => Ok(instance),
            Some(status) => Err(Refusal::invalid_state(format!(
                "Replication Instance {arn} is not available, its status is {status}"
            ))),
        }
    }
}

fn write_group(document: &mut Document, name: &str, input: Input<'_>) -> Result<(), Refusal> {
    let subnets = input.texts("SubnetIds");
    if subnets.len() < 2 {
        return Err(Refusal::new(
            "ReplicationSubnetGroupDoesNotCoverEnoughAZs",
            "The replication subnet group needs subnets in at least two availability zones",
        ));
    }
    let subnets =
        subnets.iter().map(|subnet| json!({ "SubnetIdentifier": subnet, "SubnetStatus": "Active" }));
    let subnets: Vec<_> = subnets.collect();
    input.write_to(document, &["SubnetIds", "Tags"]);
    document.insert("ReplicationSubnetGroupIdentifier".to_owned(), json!(name));
    document.insert("SubnetGroupStatus".to_owned(), json!("Complete"));
    document.insert("Subnets".to_owned(), json!(subnets));
    Ok(())
}

fn write_instance(document: &mut Document, input: Input<'_>) {
    let apart = [
        "AllowMajorVersionUpgrade",
        "ApplyImmediately",
        "ReplicationSubnetGroupIdentifier",
        "ResourceIdentifier",
        "Tags",
        "VpcSecurityGroupIds",
    ];
    input.write_to(document, &apart);
    let name = text(document, "ReplicationInstanceIdentifier").to_lowercase();
    document.insert("ReplicationInstanceIdentifier".to_owned(), json!(name));
    if input.0.get("VpcSecurityGroupIds").is_some() {
        let groups = input.texts("VpcSecurityGroupIds").into_iter();
        let groups = groups.map(|group| json!({ "VpcSecurityGroupId": group, "Status": "active" }));
        let groups = groups.collect::<Vec<_>>();
        document.insert("VpcSecurityGroups".to_owned(), json!(groups));
    }
}

fn described(instance: &Resource, status: &str) -> Value {
    let mut document = instance.document.clone();
    document.insert("ReplicationInstanceStatus".to_owned(), json!(status));
    Value::Object(document)
}

fn no_group(name: &str) -> Refusal {
    Refusal::not_found(format!("Replication Subnet Group not found: {name}"))
}
