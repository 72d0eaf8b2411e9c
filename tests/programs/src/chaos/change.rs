//! What each operation changes in the stack's template.

use serde_json::{Value, json};

use super::plan::Operation;

/// The template with a change, and whether the next round begins with it if it comes out well.
pub(crate) fn changed(template: &Value, operation: Operation, number: u64) -> (Value, bool) {
    let mut template = template.clone();
    let resources = &mut template["Resources"];
    let task = &mut resources["ReplicationTask"]["Properties"];
    let rule = |id: u8, action: &str, table: &str| {
        json!({ "rule-type": "selection", "rule-id": id, "rule-name": id, "rule-action": action,
            "object-locator": { "schema-name": "blog", "table-name": table } })
    };
    let spare = format!("spare_{number}");
    let rules = json!({ "rules": [rule(1, "include", "examples"), rule(2, "exclude", &spare)] });
    match operation {
        Operation::Nothing => {}
        Operation::Task => task["TableMappings"] = json!(rules.to_string()),
        Operation::ReplaceTask => {
            task["ResourceIdentifier"] = json!(format!("CHAOS{number}"));
        }
        Operation::Refused => task["TableMappings"] = json!(r#"{"rules": []}"#),
        Operation::FailsLater => {
            task["TableMappings"] = json!(rules.to_string());
            resources["Broken"] = json!({
                "Type": "AWS::DMS::Endpoint", "DependsOn": "ReplicationTask",
                "Properties": { "EndpointType": "sideways", "EngineName": "kinesis" },
            });
        }
        Operation::Source => {
            let attributes = format!("eventsPollInterval={number}");
            resources["SourceEndpoint"]["Properties"]["ExtraConnectionAttributes"] = json!(attributes);
        }
        Operation::Target | Operation::ReplaceTarget => {
            let endpoint = &mut resources["TargetEndpoint"]["Properties"];
            if operation == Operation::Target {
                let control = json!(number % 2 == 1);
                endpoint["KinesisSettings"]["IncludeControlDetails"] = control;
            } else {
                endpoint["ResourceIdentifier"] = json!(format!("chaos-{number}"));
                // The new task can't have the old one's name.
                resources["ReplicationTask"]["Properties"]["ResourceIdentifier"] =
                    json!(format!("CHAOS{number}"));
            }
        }
    }
    let fails = matches!(operation, Operation::Refused | Operation::FailsLater);
    (template, !fails)
}
