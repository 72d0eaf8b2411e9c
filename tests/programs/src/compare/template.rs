//! The three set-ups' templates. DMS's part is the same in all of them: that of `cfn/stream.yaml`.

use serde_json::{Map, Value, json};

use super::SetUp;
use stage::cloud::{Cloud, root};

/// What of the stream's template is DMS's: these types, and the roles that they use.
const KEPT: [&str; 4] = ["AWS::DMS::", "AWS::Kinesis::Stream", "SourceSecretRole", "TargetStreamRole"];

/// A set-up's template, its functions uploaded.
pub(super) async fn template(cloud: &Cloud, set_up: SetUp) -> anyhow::Result<Value> {
    let stream: Value = serde_json::from_str(&cloud.package("stream.yaml").await?)?;
    Ok(match set_up {
        SetUp::Sluice => stream,
        SetUp::Plain => plain(&stream, None),
        SetUp::Snippet => {
            let file = root().join("tests/programs/alternatives/snippet.yaml");
            let snippet = cloud.package(&file.to_string_lossy()).await?;
            plain(&stream, Some(&serde_json::from_str(&snippet)?))
        }
    })
}

/// The stream's template without Sluice; with these custom resources, if any, in the place of Sluice's.
fn plain(stream: &Value, snippet: Option<&Value>) -> Value {
    let mut resources = Map::new();
    for (name, resource) in stream["Resources"].as_object().into_iter().flatten() {
        let kind = resource["Type"].as_str().unwrap_or_default();
        if !KEPT.iter().any(|kept| name == kept || kind.starts_with(kept)) {
            continue;
        }
        let mut resource = resource.clone();
        if resource["DependsOn"] == "DmsPre" {
            resource["DependsOn"] = if snippet.is_some() { json!("Pre") } else { json!([]) };
        }
        resources.insert(name.clone(), resource);
    }
    let mut template = json!({});
    for part in ["Parameters", "Mappings", "Rules", "Conditions"] {
        template[part] = stream[part].clone();
    }
    for name in ["StreamArn", "ReplicationTaskArn"] {
        template["Outputs"][name] = stream["Outputs"][name].clone();
    }
    template["Resources"] = Value::Object(resources);
    for part in ["Parameters", "Resources"] {
        let more = snippet.and_then(|it| it[part].as_object());
        let more = more.into_iter().flatten();
        let part = template[part].as_object_mut();
        part.into_iter().for_each(|it| it.extend(more.clone().map(|(name, it)| (name.clone(), it.clone()))));
    }
    template
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::plain;

    fn stream() -> Value {
        json!({
            "Parameters": { "DeploymentId": { "Type": "String" } },
            "Resources": {
                "DmsPre": { "Type": "Custom::DmsPre" },
                "Stream": { "Type": "AWS::Kinesis::Stream" },
                "ReplicationTask": { "Type": "AWS::DMS::ReplicationTask", "DependsOn": "DmsPre" },
            },
            "Outputs": { "StreamArn": { "Value": "s" }, "ReplicationTaskArn": { "Value": "t" },
                "PausedTasks": { "Value": "p" } },
        })
    }

    #[test]
    fn the_plain_template_has_what_is_dms_s_and_nothing_of_sluice() {
        let template = plain(&stream(), None);
        let resources = json!({ "Stream": { "Type": "AWS::Kinesis::Stream" },
            "ReplicationTask": { "Type": "AWS::DMS::ReplicationTask", "DependsOn": [] } });
        assert_eq!(template["Resources"], resources);
        let outputs = template["Outputs"].as_object().unwrap();
        assert!(!outputs.contains_key("PausedTasks"), "{outputs:?}");
    }

    #[test]
    fn other_custom_resources_come_before_the_task_as_sluice_s_do() {
        let snippet = json!({ "Parameters": { "PollSeconds": { "Type": "Number" } },
            "Resources": { "Pre": { "Type": "Custom::Pre" } } });
        let template = plain(&stream(), Some(&snippet));
        assert_eq!(template["Resources"]["ReplicationTask"]["DependsOn"], "Pre");
        assert_eq!(template["Resources"]["Pre"]["Type"], "Custom::Pre");
        let parameters = template["Parameters"].as_object().unwrap();
        assert_eq!(parameters.len(), 2);
    }
}
