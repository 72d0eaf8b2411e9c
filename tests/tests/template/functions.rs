//! The functions, their roles and their logs.

use serde_json::{Value, json};

use super::document::{TEMPLATES, Template, list, root, source, text, walk};

/// The functions that are cargo examples, and where they are.
const EXAMPLES: [(&str, &str); 2] = [
    ("stream-subscriber", "crates/change-event/examples/stream-subscriber.rs"),
    ("row-writer", "crates/change-event/examples/row-writer.rs"),
];

/// Every function, with its template and its name.
fn for_every_function(mut see: impl FnMut(&Template, &str, &Value)) {
    let mut seen = 0;
    for name in TEMPLATES {
        let template = Template::read(name);
        for (name, function) in template.of_type("AWS::Lambda::Function") {
            see(&template, name, &function["Properties"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 6, "functions in all templates");
}

/// `DmsPre` → `dms-pre`.
fn kebab(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// All statements of all policies below.
pub(crate) fn statements(value: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    walk(value, &mut |name, value| {
        if name == "Statement" {
            found.extend(list(value));
        }
    });
    found
}

pub(crate) fn actions(statement: &Value) -> Vec<String> {
    list(&statement["Action"]).into_iter().map(text).collect()
}

#[test]
fn each_function_is_the_binary_of_its_resource() {
    for_every_function(|template, name, function| {
        if name == "LastWordsFunction" {
            return;
        }
        let resource = name.strip_suffix("Function").unwrap();
        let binary = kebab(resource);
        assert_eq!(function["Code"], format!("../target/lambda/{binary}/"));
        let example = EXAMPLES.iter().find(|(name, _)| *name == binary);
        if let Some((_, file)) = example {
            assert!(root().join(file).exists(), "{file}");
        } else {
            // The handlers are called by the stack's name, so that their service tokens outlive it.
            let named = json!({ "Fn::Sub": format!("${{AWS::StackName}}-{binary}") });
            let is_exported = template.section("Resources").all(|(name, _)| name != resource);
            assert_eq!(function.get("FunctionName"), is_exported.then_some(&named));
            let manifest = source(&format!("crates/{binary}/Cargo.toml"));
            assert!(manifest.contains(&format!("name = \"{binary}\"\n")));
            assert!(root().join(format!("crates/{binary}/src/main.rs")).exists());
        }
        assert_eq!(function["Runtime"], "provided.al2023");
        assert_eq!(function["Handler"], "bootstrap");
    });
}

#[test]
fn each_function_has_a_role_of_its_own() {
    for_every_function(|template, name, function| {
        let role = name.replace("Function", "Role");
        assert_eq!(function["Role"], json!({ "Fn::GetAtt": [role, "Arn"] }));
        let properties = &template.resource(&role)["Properties"];
        assert_eq!(properties.get("ManagedPolicyArns"), None, "{role}");
        assert!(!statements(&properties["Policies"]).is_empty());
    });
}

#[test]
fn each_function_writes_to_a_log_of_its_own_that_does_not_grow_for_ever() {
    for_every_function(|template, name, function| {
        let group = name.replace("Function", "LogGroup");
        assert_eq!(function["LoggingConfig"]["LogGroup"], json!({ "Ref": group }));
        let properties = &template.resource(&group)["Properties"];
        let retention = properties["RetentionInDays"]["Ref"].as_str().unwrap();
        let days = template.get("Parameters", retention)["Default"].as_u64();
        assert!(days.is_some_and(|days| days > 0), "{group}");

        let policies = &template.resource(&name.replace("Function", "Role"))["Properties"]["Policies"];
        let writes = |it: &&&Value| actions(it).contains(&"logs:PutLogEvents".to_owned());
        let statements = statements(policies);
        let writing: Vec<_> = statements.iter().filter(writes).collect();
        assert_eq!(writing.len(), 1);
        let own = json!({ "Fn::GetAtt": [group, "Arn"] });
        assert_eq!(writing[0]["Resource"], own, "{name}");
    });
}

#[test]
fn no_policy_has_a_wildcard_among_its_actions_or_a_wildcard_resource_but_for_looking_and_interfaces() {
    for name in TEMPLATES {
        let template = Template::read(name);
        let statements = statements(template.value());
        assert!(!statements.is_empty());
        for statement in statements {
            // What is forbidden may be everything.
            if statement["Effect"] == "Deny" {
                continue;
            }
            let actions = actions(statement);
            assert!(!actions.is_empty(), "{statement}");
            assert_eq!(statement.get("NotAction"), None);
            assert_eq!(statement.get("NotResource"), None);
            for action in &actions {
                assert!(!action.contains('*'), "{action}");
            }
            if list(&statement["Resource"]).contains(&&json!("*")) {
                for action in actions {
                    let (_, call) = action.split_once(':').unwrap();
                    let looks = call.starts_with("Describe") || call.starts_with("List");
                    // Lambda's own, for which Amazon's policy has no less.
                    let is_interface = action.starts_with("ec2:")
                        && (call.ends_with("NetworkInterface") || call.ends_with("PrivateIpAddresses"));
                    assert!(looks || is_interface, "{action} on anything");
                }
            }
        }
    }
}

#[test]
fn every_role_serves_this_account_only_but_for_the_two_that_dms_has_everywhere() {
    let account = json!({ "Ref": "AWS::AccountId" });
    let (mut bound, mut free) = (0, Vec::new());
    for name in TEMPLATES {
        let template = Template::read(name);
        for (role, it) in template.of_type("AWS::IAM::Role") {
            for statement in statements(&it["Properties"]["AssumeRolePolicyDocument"]) {
                let equal = &statement["Condition"]["StringEquals"];
                // Firehose's own way to say it is the latter.
                if equal["aws:SourceAccount"] == account || equal["sts:ExternalId"] == account {
                    bound += 1;
                } else {
                    free.push(it["Properties"]["RoleName"].clone());
                    assert!(role.starts_with("Dms"), "{role}");
                }
            }
        }
    }
    assert_eq!(bound, 9);
    assert_eq!(free, ["dms-cloudwatch-logs-role", "dms-vpc-role"]);
}

#[test]
fn words_of_a_name_are_divided_by_dashes() {
    assert_eq!(kebab("DmsPre"), "dms-pre");
    assert_eq!(kebab("DbInit"), "db-init");
}
