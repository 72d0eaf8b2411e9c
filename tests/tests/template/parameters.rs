//! Parameters: what they let through is what the handlers take, and none of them is a secret.

use std::collections::BTreeSet;

use proptest::prelude::ProptestConfig;
use proptest::strategy::Strategy;
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

use super::custom_resources::{for_every_custom_resource, properties, taken};
use super::document::{TEMPLATES, Template, list, text, walk};

/// What serde says that it would have taken, between backticks.
fn expected(refusal: &str) -> BTreeSet<String> {
    let (_, expected) = refusal.split_once(", expected ").unwrap();
    let quoted = expected.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// A parameter's pattern, without its ends.
fn pattern(parameter: &Value) -> &str {
    let pattern = parameter["AllowedPattern"].as_str().unwrap();
    let inner = pattern.strip_prefix('^').and_then(|it| it.strip_suffix('$'));
    inner.unwrap_or_else(|| panic!("{pattern} has an open end"))
}

#[test]
fn every_field_of_a_handlers_type_is_a_property_in_the_template() {
    for_every_custom_resource(|template, name| {
        let properties = properties(template, name);
        let given = properties.as_object().unwrap().keys().cloned().collect();
        let mut more = properties;
        more["Extra"] = json!("1");
        let fields = expected(&taken(name, more).unwrap_err());
        assert_eq!(fields, given, "{name}");
    });
}

#[test]
fn the_modes_of_tls_are_those_that_db_init_knows() {
    let database = Template::read("db-init.yaml");
    let mut properties = properties(&database, "DbInit");
    properties["SslMode"] = json!("SOMEHOW");
    let known = expected(&taken("DbInit", properties).unwrap_err());
    let allowed = list(&database.get("Parameters", "SslMode")["AllowedValues"]);
    assert_eq!(allowed.into_iter().map(text).collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_handlers_take_whatever_a_pattern_lets_through() {
    let (database, stream) = (Template::read("db-init.yaml"), Template::read("stream.yaml"));
    // Not SslCa: no pattern tells a certificate from other text in PEM.
    for (template, resource, property, parameter) in [
        (&database, "DbInit", "Database", "DatabaseName"),
        (&database, "DbInit", "Host", "Host"),
        (&database, "DbInit", "DeploymentId", "DeploymentId"),
        (&stream, "DmsPre", "DeploymentId", "DeploymentId"),
    ] {
        let pattern = pattern(template.get("Parameters", parameter));
        // It says no to some, which are looked at below.
        let (_, pattern) = pattern.rsplit_once("$)").unwrap_or(("", pattern));
        let properties = properties(template, resource);
        let strategy = string_regex(pattern).unwrap();
        // Nothing means that the property is left out.
        let some = strategy.prop_filter("nothing", |it| !it.is_empty());
        let mut runner =
            TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
        let outcome = runner.run(&some, |value| {
            let mut properties = properties.clone();
            properties[property] = json!(value);
            assert_eq!(taken(resource, properties), Ok(()), "{value:?}");
            Ok(())
        });
        outcome.unwrap();
    }
}

#[test]
fn a_database_that_db_init_refuses_is_refused_before_anything_is_made() {
    let database = Template::read("db-init.yaml");
    let pattern = pattern(database.get("Parameters", "DatabaseName"));
    let (servers, rest) = pattern.split_once("$)").unwrap();
    assert_eq!(rest, "[A-Za-z_][A-Za-z0-9_]{0,63}");
    let servers = servers.strip_prefix("(?!(?i:").and_then(|it| it.strip_suffix(')'));
    let properties = properties(&database, "DbInit");
    let refused = |name: &str| {
        let mut properties = properties.clone();
        properties["Database"] = json!(name);
        taken("DbInit", properties).unwrap_err()
    };
    let servers: Vec<&str> = servers.unwrap().split('|').collect();
    assert_eq!(servers.len(), 4, "{servers:?}");
    for name in servers {
        for name in [name.to_owned(), name.to_uppercase()] {
            let refusal = refused(&name);
            assert!(refusal.contains("belongs to the server"), "{refusal}");
        }
    }
    let refusal = refused(&"a".repeat(65));
    assert!(refusal.contains("at most 64"), "{refusal}");
}

#[test]
fn every_level_of_the_logs_is_one() {
    for name in ["handlers.yaml", "db-init.yaml"] {
        let template = Template::read(name);
        let levels = list(&template.get("Parameters", "LogLevel")["AllowedValues"]);
        assert!(!levels.is_empty());
        for level in levels {
            level.as_str().unwrap().parse::<LevelFilter>().unwrap();
        }
    }
}

#[test]
fn what_is_refused_is_refused_in_words() {
    for name in TEMPLATES {
        let template = Template::read(name);
        let parameters: Vec<_> = template.section("Parameters").collect();
        assert!(parameters.len() <= 200, "{name}");
        for (parameter, said) in parameters {
            let description = text(&said["Description"]);
            assert!(!description.is_empty(), "{parameter}");
            assert!(description.len() <= 4000, "{parameter}");
            if said.get("AllowedPattern").is_some() {
                pattern(said);
            }
            let narrow = ["AllowedPattern", "MinValue", "MaxValue"];
            let is_narrow = narrow.iter().any(|it| said.get(it).is_some());
            assert_eq!(said.get("ConstraintDescription").is_some(), is_narrow, "{parameter}");
        }
    }
}

#[test]
fn no_parameter_no_output_and_no_environment_holds_a_secret() {
    for name in TEMPLATES {
        let template = Template::read(name);
        for (parameter, said) in template.section("Parameters") {
            // It would hide one in the console.
            assert_eq!(said.get("NoEcho"), None, "{parameter}");
            assert!(!parameter.contains("Password"), "{parameter}");
        }
        for section in ["Outputs", "Conditions", "Metadata"] {
            for (entry, said) in template.section(section) {
                assert!(!said.to_string().contains("resolve:"), "{entry}");
            }
        }
        for (function, it) in template.section("Resources") {
            if it["Type"] == "AWS::Lambda::Function" {
                let level = json!({ "Variables": { "RUST_LOG": { "Ref": "LogLevel" } } });
                let environment = &it["Properties"]["Environment"];
                // The examples are told by it where the secret is.
                if name == "examples.yaml" {
                    assert!(!environment.to_string().contains("resolve:"), "{function}");
                } else {
                    assert_eq!(*environment, level, "{function}");
                }
            }
        }
    }
}

#[test]
fn every_parameter_has_its_place_in_the_console_and_is_used() {
    for name in TEMPLATES {
        let template = Template::read(name);
        let interface = &template.value()["Metadata"]["AWS::CloudFormation::Interface"];
        let grouped: Vec<_> = list(&interface["ParameterGroups"])
            .into_iter()
            .flat_map(|group| list(&group["Parameters"]))
            .filter_map(Value::as_str)
            .collect();
        let labels = interface["ParameterLabels"].as_object().unwrap();
        let labels: Vec<_> = labels.keys().map(String::as_str).collect();
        let parameters: Vec<_> = template.section("Parameters").map(|(name, _)| name).collect();
        let sorted = |names: &[&str]| {
            let mut names: Vec<_> = names.iter().map(|it| (*it).to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(sorted(&grouped), sorted(&parameters), "{name}");
        assert_eq!(sorted(&labels), sorted(&parameters), "{name}");

        let mut used = BTreeSet::new();
        walk(template.value(), &mut |function, value| match (function, value) {
            ("Ref", Value::String(name)) => drop(used.insert(name.clone())),
            ("Fn::Sub", value) => {
                let text = value.as_str().or_else(|| value[0].as_str()).unwrap();
                let named = text.split("${").skip(1).filter_map(|it| it.split('}').next());
                used.extend(named.map(str::to_owned));
            }
            _ => {}
        });
        for parameter in parameters {
            assert!(used.contains(parameter), "{name}: nobody uses {parameter}");
        }
    }
}
