//! The templates that ship keep what the handlers, and each other, rely on.

#[path = "template/archive.rs"]
mod archive;
#[path = "template/assumptions.rs"]
mod assumptions;
#[path = "template/custom_resources.rs"]
mod custom_resources;
#[path = "template/database.rs"]
mod database;
#[path = "template/document.rs"]
mod document;
#[path = "template/documentation.rs"]
mod documentation;
#[path = "template/events.rs"]
mod events;
#[path = "template/examples.rs"]
mod examples;
#[path = "template/facts.rs"]
mod facts;
#[path = "template/functions.rs"]
mod functions;
#[path = "template/last_words.rs"]
mod last_words;
#[path = "template/parameters.rs"]
mod parameters;
#[path = "template/permissions.rs"]
mod permissions;
#[path = "template/sources.rs"]
mod sources;
#[path = "template/watching.rs"]
mod watching;

use std::collections::{BTreeMap, BTreeSet};

use document::{TEMPLATES, Template, source, text, walk};

#[test]
fn every_dms_resource_waits_for_dms_pre() {
    let stream = Template::read("stream.yaml");
    let resources = stream.of_type("AWS::DMS::");
    assert!(resources.len() >= 5, "{resources:?}");
    for (name, _) in resources {
        let waits_for = stream.waits_for(name);
        assert!(waits_for.contains("DmsPre"), "{name}: {waits_for:?}");
    }
}

#[test]
fn dms_post_waits_for_every_task() {
    let stream = Template::read("stream.yaml");
    let waits_for = stream.waits_for("DmsPost");
    let tasks = stream.of_type("AWS::DMS::ReplicationTask");
    assert!(!tasks.is_empty());
    for (task, _) in tasks {
        assert!(waits_for.contains(task), "{task}: {waits_for:?}");
    }
}

#[test]
fn what_dms_uses_is_named_without_attributes_that_would_pause_the_task() {
    // In a change set, an attribute of something that changes counts as a change.
    let stream = Template::read("stream.yaml");
    for (name, resource) in stream.of_type("AWS::DMS::") {
        walk(&resource["Properties"], &mut |function, value| {
            assert_ne!(function, "Fn::GetAtt", "{name} takes {value}");
        });
    }
}

#[test]
fn what_is_imported_is_what_the_handlers_export() {
    let handlers = Template::read("handlers.yaml");
    let mut exports = BTreeMap::new();
    for (_, it) in handlers.section("Outputs").filter(|(_, it)| it.get("Export").is_some()) {
        let name = it["Export"]["Name"]["Fn::Sub"].as_str().unwrap();
        let function = it["Value"]["Fn::GetAtt"][0].as_str().unwrap();
        exports.insert(name.strip_prefix("${AWS::StackName}-").unwrap(), function);
    }
    let wanted = ["DmsPost", "DmsPre", "LastWords"];
    assert_eq!(
        exports,
        wanted.map(|name| (name, format!("{name}Function"))).iter().map(|(a, b)| (*a, b.as_str())).collect()
    );
    let default = source("cfn/operate/settings.py");
    for (file, imported) in [
        ("db-init.yaml", &wanted[2..]),
        ("stream.yaml", &wanted[..2]),
        ("examples/own-template.yaml", &wanted[..2]),
    ] {
        let template = Template::read(file);
        let mut found = BTreeSet::new();
        walk(template.value(), &mut |function, value| {
            if function == "Fn::ImportValue" {
                let name = value.as_str().or_else(|| value["Fn::Sub"].as_str()).unwrap();
                let (stack, name) = name.rsplit_once('-').unwrap();
                let stack = match stack {
                    "${HandlersStackName}" => {
                        text(&template.get("Parameters", "HandlersStackName")["Default"])
                    }
                    named => named.to_owned(),
                };
                assert!(default.contains(&format!("\"HANDLERS_STACK\", \"{stack}\"")), "{file}: {stack}");
                found.insert(name);
            }
        });
        assert_eq!(found, imported.iter().copied().collect(), "{file}");
    }
}

/// Which outputs fill which parameters: of a stack, and of another one.
const HANDED_OVER: [(&str, &str, &[&str]); 10] = [
    ("handlers", "db-init", &["HandlersStackName"]),
    ("handlers", "stream", &["AlarmTopicArn", "HandlersStackName"]),
    ("handlers", "archive", &["AlarmTopicArn"]),
    ("database", "db-init", &["Host", "MasterSecretArn", "Port", "SecurityGroupIds", "SubnetIds"]),
    ("database", "stream", &["SecurityGroupIds", "SubnetIds", "VpcId"]),
    ("database", "examples", &["MasterSecretArn", "SecurityGroupIds", "SubnetIds"]),
    ("db-init", "stream", &["HandlersStackName", "SchemaName", "SourceSecretArn"]),
    ("db-init", "examples", &["DatabaseName"]),
    ("stream", "archive", &["AlarmTopicArn", "StreamArn", "StreamKeyArn"]),
    ("stream", "examples", &["SecurityGroupIds", "StreamArn", "StreamKeyArn", "SubnetIds"]),
];

#[test]
fn an_output_that_another_stack_asks_for_has_the_name_of_the_parameter_that_it_fills() {
    let read = |name: &str| Template::read(&format!("{name}.yaml"));
    let mut told = BTreeSet::new();
    for (giver, taker, wanted) in HANDED_OVER {
        let (from, to) = (read(giver), read(taker));
        let outputs: BTreeSet<&str> = from.section("Outputs").map(|(name, _)| name).collect();
        let asked = to.section("Parameters").map(|(name, _)| name);
        let mut shared: Vec<String> =
            asked.filter(|name| outputs.contains(name)).map(str::to_owned).collect();
        shared.sort_unstable();
        assert_eq!(shared, wanted, "{giver} to {taker}");
        for name in &shared {
            told.insert((giver, name.clone()));
            // What one template lets through, the other takes. DbInit takes fewer names of databases than there may be.
            let ours = from.section("Parameters").find(|(ours, _)| ours == name);
            if name != "DatabaseName"
                && let Some(ours) = ours.and_then(|(_, it)| it["AllowedPattern"].as_str())
            {
                let theirs = to.get("Parameters", name)["AllowedPattern"].as_str();
                let bare = |pattern: &str| pattern.trim_matches(['^', '$', '?', '(', ')']).to_owned();
                assert_eq!(Some(bare(ours)), theirs.map(bare), "{name} of {giver} and {taker}");
            }
        }
    }
    for taker in TEMPLATES.map(|it| it.trim_end_matches(".yaml")) {
        let given: BTreeSet<&str> =
            HANDED_OVER.iter().filter(|it| it.1 == taker).flat_map(|it| it.2).copied().collect();
        for (parameter, said) in read(taker).section("Parameters") {
            let is_given = given.contains(parameter) || parameter == "DeploymentId";
            assert!(is_given || said.get("Default").is_some(), "nobody gives {parameter} of {taker}");
        }
        for (output, said) in read(taker).section("Outputs") {
            let is_told = text(&said["Description"]).contains("Parameter of ");
            assert_eq!(is_told, told.contains(&(taker, output.to_owned())), "{output} of {taker}");
        }
    }
}

#[test]
fn what_holds_data_says_what_becomes_of_it() {
    let mut seen = 0;
    for name in TEMPLATES {
        let template = Template::read(name);
        for kind in [
            "AWS::RDS::DBCluster",
            "AWS::RDS::DBInstance",
            "AWS::SecretsManager::Secret",
            "AWS::Kinesis::Stream",
            "AWS::Logs::LogGroup",
            "AWS::SQS::Queue",
        ] {
            let of_kind = template.of_type(kind);
            let exact = of_kind.iter().filter(|(_, it)| it["Type"] == kind);
            for (resource, it) in exact {
                seen += 1;
                assert!(it["DeletionPolicy"].is_string(), "{resource}");
                assert_eq!(it["DeletionPolicy"], it["UpdateReplacePolicy"], "{resource}");
            }
        }
    }
    assert_eq!(seen, 15);
}

#[test]
fn a_panic_unwinds_in_what_ships() {
    let manifest = source("Cargo.toml");
    let (_, profile) = manifest.split_once("\n[profile.release]\n").unwrap();
    let profile = profile.split("\n[").next().unwrap();
    assert!(profile.lines().any(|line| line == "panic = \"unwind\""), "{profile}");
}
