//! Operations on endpoints, and on their connections from instances.

use super::Arn;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::listing::Listing;
use super::model::{Model, Resource, is_taken};
use super::refusal::{Document, Input, Refusal, text};
use super::task::Task;
use super::timeline::Timeline;

/// A connection's test: its status, and why it failed.
pub(super) type Connection = Timeline<(&'static str, Option<String>)>;

const ENDPOINTS: Listing = Listing {
    list: "Endpoints",
    things: "Endpoints",
    filters: &[
        ("endpoint-arn", &["EndpointArn"]),
        ("endpoint-type", &["EndpointType"]),
        ("endpoint-id", &["EndpointIdentifier"]),
        ("engine-name", &["EngineName"]),
    ],
};

const CONNECTIONS: Listing = Listing {
    list: "Connections",
    things: "Connections",
    filters: &[("endpoint-arn", &["EndpointArn"]), ("replication-instance-arn", &["ReplicationInstanceArn"])],
};

impl Model {
    pub(super) fn create_endpoint(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let name = input.identifier("EndpointIdentifier")?;
        input.required("EngineName")?;
        let side = input.required("EndpointType")?.to_uppercase();
        if !["SOURCE", "TARGET"].contains(&side.as_str()) {
            return Err(Refusal::bad_value(format!("Invalid endpoint type: {side}")));
        }
        if is_taken(&self.endpoints, now, "EndpointIdentifier", &name) {
            return Err(Refusal::already_exists("Endpoint", &name));
        }
        let arn = self.new_arn(now, "endpoint", &name, input)?;
        let mut document = Document::new();
        document.insert("SslMode".to_owned(), json!("none"));
        write_endpoint(&mut document, input);
        document.insert("EndpointArn".to_owned(), json!(arn.as_str()));
        let life = Timeline::new(now, "active");
        let endpoint = Resource { document, life };
        let described = described(&endpoint, "active");
        self.endpoints.insert(arn.clone(), endpoint);
        self.tag(&arn, input);
        Ok(json!({ "Endpoint": described }))
    }

    pub(super) fn modify_endpoint(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = input.arn("EndpointArn")?;
        let endpoint = self.endpoint(now, &arn)?;
        let old_name = text(&endpoint.document, "EndpointIdentifier").to_owned();
        if input.text("EndpointIdentifier").is_some() {
            let name = input.identifier("EndpointIdentifier")?;
            if name != old_name && is_taken(&self.endpoints, now, "EndpointIdentifier", &name) {
                return Err(Refusal::already_exists("Endpoint", &name));
            }
        }
        self.modified_under_tasks(now, &format!("endpoint {old_name}"), &arn);
        let mut answer = Value::Null;
        if let Some(endpoint) = self.endpoints.get_mut(&arn) {
            write_endpoint(&mut endpoint.document, input);
            answer = described(endpoint, "active");
        }
        // DMS tests the connections of what it modified by itself.
        let tested = self.connections.keys().filter(|(endpoint, _)| *endpoint == arn);
        for connection in tested.cloned().collect::<Vec<_>>() {
            self.begin_test(now, connection);
        }
        Ok(json!({ "Endpoint": answer }))
    }

    pub(super) fn delete_endpoint(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let arn = input.arn("EndpointArn")?;
        self.endpoint(now, &arn)?;
        if self.tasks_on(now, &arn).next().is_some() {
            let why = format!("Endpoint {arn} is part of one or more ReplicationTasks.");
            return Err(Refusal::invalid_state(why));
        }
        self.connections.retain(|(endpoint, _), _| *endpoint != arn);
        let delete = self.pace.delete;
        let endpoint = self.endpoints.get_mut(&arn).map(|endpoint| {
            endpoint.life.turn(now, "deleting").then(delete, None);
            described(endpoint, "deleting")
        });
        Ok(json!({ "Endpoint": endpoint }))
    }

    pub(super) fn describe_endpoints(&self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let endpoints = self.endpoints.iter().filter_map(|(arn, endpoint)| {
            let status = endpoint.life.at(now)?;
            Some((arn.to_string(), described(endpoint, status)))
        });
        ENDPOINTS.page(input, endpoints)
    }

    pub(super) fn test_connection(&mut self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let connection = (input.arn("EndpointArn")?, input.arn("ReplicationInstanceArn")?);
        self.endpoint(now, &connection.0)?;
        self.available_instance(now, &connection.1)?;
        if self.connection_status(now, &connection) == Some("testing") {
            let (endpoint, instance) = connection;
            return Err(Refusal::invalid_state(format!(
                "Connection between endpoint {endpoint} and replication instance {instance} is already being tested"
            )));
        }
        self.begin_test(now, connection.clone());
        let described = self.described_connection(&connection, &("testing", None));
        Ok(json!({ "Connection": described }))
    }

    pub(super) fn describe_connections(&self, now: Instant, input: Input<'_>) -> Result<Value, Refusal> {
        let seen = self.seen(now);
        let connections = self.connections.iter().filter_map(|(connection, life)| {
            let (endpoint, instance) = connection;
            let state = life.at(seen).filter(|_| life.begins() <= seen)?;
            let described = self.described_connection(connection, state);
            Some((format!("{endpoint} {instance}"), described))
        });
        CONNECTIONS.page(input, connections)
    }

    /// An endpoint that is there to be used.
    pub(super) fn endpoint(&self, now: Instant, arn: &Arn) -> Result<&Resource, Refusal> {
        let endpoint = self.endpoints.get(arn);
        let endpoint = endpoint.filter(|endpoint| endpoint.life.at(now) == Some(&"active"));
        endpoint.ok_or_else(|| Refusal::not_found(format!("Endpoint not found: {arn}")))
    }

    /// Whether both endpoints of a task have been reached from its instance.
    pub(super) fn check_connections(&self, now: Instant, task: &Task) -> Result<(), Refusal> {
        let arn = |name: &str| Arn::new(text(&task.document, name));
        for side in ["SourceEndpointArn", "TargetEndpointArn"] {
            let connection = (arn(side), arn("ReplicationInstanceArn"));
            if self.connection_status(now, &connection) != Some("successful") {
                return Err(Refusal::invalid_state(
                    "Test connection for replication instance and endpoint should be successful for starting the \
                     replication task",
                ));
            }
        }
        Ok(())
    }

    fn connection_status(&self, now: Instant, connection: &(Arn, Arn)) -> Option<&'static str> {
        let (status, _) = self.connections.get(connection)?.at(now)?;
        Some(status)
    }

    fn begin_test(&mut self, now: Instant, connection: (Arn, Arn)) {
        let failure = self.unreachable.get(&connection.0).cloned();
        let status = if failure.is_some() { "failed" } else { "successful" };
        let (outcome, duration) = ((status, failure), self.pace.connection_test);
        let life = self.connections.entry(connection);
        let life = life.or_insert_with(|| Timeline::new(now, ("testing", None)));
        life.turn(now, ("testing", None)).then(duration, Some(outcome));
    }

    fn described_connection(
        &self,
        (endpoint, instance): &(Arn, Arn),
        (status, failure): &(&'static str, Option<String>),
    ) -> Value {
        let name = |resource: Option<&Resource>, member: &str| {
            resource.map(|resource| text(&resource.document, member).to_owned())
        };
        let mut document = json!({
            "EndpointArn": endpoint.as_str(),
            "EndpointIdentifier": name(self.endpoints.get(endpoint), "EndpointIdentifier"),
            "ReplicationInstanceArn": instance.as_str(),
            "ReplicationInstanceIdentifier": name(self.instances.get(instance), "ReplicationInstanceIdentifier"),
            "Status": status,
        });
        if let Some(failure) = failure {
            document["LastFailureMessage"] = json!(failure);
        }
        document
    }
}

/// Keeps what an endpoint is created or modified with, except passwords: DMS gives none back.
fn write_endpoint(document: &mut Document, input: Input<'_>) {
    input.write_to(document, &["Password", "Tags", "ResourceIdentifier", "ExactSettings"]);
    for settings in document.values_mut().filter_map(Value::as_object_mut) {
        settings.remove("Password");
    }
    for (name, spell) in
        [("EndpointIdentifier", str::to_lowercase as fn(&str) -> String), ("EndpointType", str::to_uppercase)]
    {
        let spelt = spell(text(document, name));
        document.insert(name.to_owned(), json!(spelt));
    }
}

fn described(endpoint: &Resource, status: &str) -> Value {
    let mut document = endpoint.document.clone();
    document.insert("Status".to_owned(), json!(status));
    Value::Object(document)
}
