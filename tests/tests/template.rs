//! The templates that ship keep what the handlers, and each other, rely on.

#[path = "template/archive.rs"]
mod archive;
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

use document::{TEMPLATES, Template, source, walk};

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
fn healing_is_there_before_a_task_can_be_paused() {
    let stream = Template::read("stream.yaml");
    assert!(stream.waits_for("DmsPre").contains("HealingPermission"));
}

#[test]
fn the_outputs_of_the_database_are_what_the_stream_asks_for() {
    let (database, stream) = (Template::read("database.yaml"), Template::read("stream.yaml"));
    let deploy = source("cfn/operate/deploy.py");
    let mut handed_over = Vec::new();
    for (output, said) in database.section("Outputs") {
        let description = said["Description"].as_str().unwrap();
        let Some((_, rest)) = description.split_once("Parameter ") else {
            continue;
        };
        let parameter = rest.strip_suffix(" of the stream's stack.").unwrap();
        stream.get("Parameters", parameter);
        let by_make = format!("\"{parameter}\": \"{output}\",");
        assert!(deploy.contains(&by_make), "make doesn't say {by_make}");
        handed_over.push(parameter);
    }
    for (parameter, said) in stream.section("Parameters") {
        let given = handed_over.contains(&parameter) || parameter == "DeploymentId";
        assert!(given || said.get("Default").is_some(), "nobody gives {parameter}");
    }
    assert_eq!(handed_over.len(), 5, "{handed_over:?}");
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
    assert_eq!(seen, 16);
}

#[test]
fn a_panic_unwinds_in_what_ships() {
    let manifest = source("Cargo.toml");
    let (_, profile) = manifest.split_once("\n[profile.release]\n").unwrap();
    let profile = profile.split("\n[").next().unwrap();
    assert!(profile.lines().any(|line| line == "panic = \"unwind\""), "{profile}");
}
