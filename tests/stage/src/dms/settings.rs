//! The JSON documents inside a task: table mappings and task settings.

use serde_json::Value;

use super::refusal::Refusal;

const RULE_TYPES: [&str; 4] = ["selection", "transformation", "table-settings", "data-masking"];

/// Checks a task's table mappings.
pub(super) fn check_table_mappings(text: &str) -> Result<(), Refusal> {
    let bad = |why: String| Err(Refusal::bad_value(format!("Error in mapping rules. {why}")));
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        return bad("Failed to parse json string".to_owned());
    };
    let rules = document.get("rules").and_then(Value::as_array);
    let Some(rules) = rules.filter(|rules| !rules.is_empty()) else {
        return bad("A mapping needs a list of at least one rule named rules".to_owned());
    };
    let mut ids = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let id = rule.get("rule-id").map(plain).filter(|id| !id.is_empty());
        let name = id.clone().unwrap_or(format!("(none, rule {})", place + 1));
        let flaw = flaw(rule).or_else(|| match id {
            None => Some("Missing rule-id".to_owned()),
            Some(id) if ids.contains(&id) => Some("Duplicate rule-id".to_owned()),
            Some(id) => {
                ids.push(id);
                None
            }
        });
        if let Some(flaw) = flaw {
            return bad(format!("Rule with ruleId = {name} failed validation. {flaw}"));
        }
    }
    Ok(())
}

/// What is wrong with a rule, its id apart.
fn flaw(rule: &Value) -> Option<String> {
    let member = |name: &str| rule.get(name).and_then(Value::as_str);
    let rule_type = member("rule-type").unwrap_or_default();
    if !RULE_TYPES.contains(&rule_type) {
        return Some(format!("Invalid rule type '{rule_type}'"));
    }
    let name = rule.get("rule-name").map(plain);
    if name.is_none_or(|name| name.is_empty()) {
        return Some("Missing rule-name".to_owned());
    }
    if rule_type != "selection" {
        return None;
    }
    let locator = rule.get("object-locator");
    let names = ["schema-name", "table-name"];
    if names.iter().any(|name| locator.and_then(|locator| locator.get(name)).is_none()) {
        return Some("object-locator needs a schema-name and a table-name".to_owned());
    }
    let action = member("rule-action").unwrap_or_default();
    let known = ["include", "exclude", "explicit"].contains(&action);
    (!known).then(|| format!("Invalid rule action '{action}'"))
}

/// A scalar without its quotes: DMS takes ids and names as texts and as numbers.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(
        || match value {
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        },
        str::to_owned,
    )
}

/// Checks a task's settings.
pub(super) fn check_task_settings(text: &str) -> Result<(), Refusal> {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    if !document.is_object() {
        let why = "Invalid task settings json. Failed to parse json string";
        return Err(Refusal::bad_value(why));
    }
    let set = |name: &str| {
        let value = document.get("Logging").and_then(|logging| logging.get(name));
        value.is_some_and(|value| !value.is_null())
    };
    if set("CloudWatchLogGroup") || set("CloudWatchLogStream") {
        let why = "Task Settings CloudWatchLogGroup or CloudWatchLogStream cannot be set on create.";
        return Err(Refusal::bad_value(why));
    }
    Ok(())
}
