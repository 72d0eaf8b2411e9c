//! `make check`: what it finds in templates that are wired wrongly, and in those that are not.
//!
//! `check.yaml` is the table: edits of the template of one's own, and the lines that come of them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use saphyr::{LoadableYamlNode, YamlOwned};
use serde_json::{Value, json};
use stage::cloud::{root, tool};

const EXAMPLE: &str = "cfn/examples/own-template.yaml";

/// The findings of each of these templates, by the function that the commands call.
fn findings(templates: &[String]) -> Vec<Vec<String>> {
    const PROGRAM: &str = "import json, sys, check; \
        print(json.dumps([[str(it) for it in check.findings(text)] for text in json.load(sys.stdin)]))";
    let mut python = Command::new(tool("python").unwrap())
        .args(["-B", "-c", PROGRAM])
        .env("PYTHONPATH", root().join("cfn/operate"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(json!(templates).to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `make check`'s program on a file, for somebody without an account.
fn check(file: &str) -> Output {
    let mut python = Command::new(tool("python").unwrap());
    python.args(["-B", "cfn/operate", "check"]).current_dir(root());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        python.env_remove(name);
    }
    python.env("TEMPLATE", file).env("HOME", "/nowhere").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn each_mistake_is_found_and_nothing_else() {
    let example = std::fs::read_to_string(root().join(EXAMPLE)).unwrap();
    let table = YamlOwned::load_from_str(include_str!("check.yaml")).unwrap().remove(0);
    let text = |it: &YamlOwned| it.as_str().unwrap().to_owned();
    let rows: Vec<(String, String, Vec<String>)> = table
        .as_vec()
        .unwrap()
        .iter()
        .map(|row| {
            let edited =
                row["edits"].as_mapping().unwrap().iter().fold(example.clone(), |template, (old, new)| {
                    assert_eq!(template.matches(&text(old)).count(), 1, "{}", text(old));
                    template.replacen(&text(old), &text(new), 1)
                });
            (text(&row["what"]), edited, row["says"].as_vec().unwrap().iter().map(text).collect())
        })
        .collect();
    let templates: Vec<_> = rows.iter().map(|(_, template, _)| template.clone()).collect();
    for ((what, _, says), found) in rows.iter().zip(findings(&templates)) {
        assert_eq!(found, *says, "{what}");
    }
}

/// A template as CDK writes it.
fn synthesized() -> Value {
    json!({
        "Resources": {
            "Role1ABCC5F0": { "Type": "AWS::IAM::Role", "Properties": {} },
            "DmsPre": {
                "Type": "Custom::DmsPre",
                "Properties": {
                    "ServiceToken": { "Fn::ImportValue": "sluice-DmsPre" },
                    "ServiceTimeout": "3600",
                    "DeploymentId": "2026-11-27T01:00:00.000Z"
                },
                "UpdateReplacePolicy": "Delete",
                "DeletionPolicy": "Delete",
                "Metadata": { "aws:cdk:path": "Stream/DmsPre/Default" }
            },
            "Target": {
                "Type": "AWS::DMS::Endpoint",
                "Properties": {
                    "KinesisSettings": { "ServiceAccessRoleArn": { "Fn::GetAtt": ["Role1ABCC5F0", "Arn"] } }
                },
                "DependsOn": ["DmsPre", "Role1ABCC5F0"]
            },
            "Task": {
                "Type": "AWS::DMS::ReplicationTask",
                "Properties": { "TargetEndpointArn": { "Ref": "Target" }, "TableMappings": "{\"note\": \"\u{1f6b0}\"}" }
            },
            "DmsPost": {
                "Type": "Custom::DmsPost",
                "Properties": {
                    "ServiceToken": { "Fn::ImportValue": "sluice-DmsPost" },
                    "ServiceTimeout": "3600",
                    "After": { "Fn::GetAtt": ["DmsPre", "Revision"] }
                },
                "DependsOn": "Task"
            },
            "CDKMetadata": { "Type": "AWS::CDK::Metadata", "Properties": {} }
        }
    })
}

#[test]
fn what_cdk_writes_is_read_as_what_people_write() {
    type Edit = fn(&mut Value);
    let rows: [(Edit, &[&str]); 6] = [
        (|_| {}, &[]),
        // As some tools write it.
        (|of| of["DmsPost"]["Properties"]["After"] = json!({ "Fn::GetAtt": "DmsPre.Revision" }), &[]),
        (
            |of| {
                let token =
                    json!({ "Fn::Sub": ["${Role}-${DmsPre.Revision}", { "Role": { "Ref": "DmsPre" } }] });
                of["DmsPost"]["Properties"]["After"] = token;
            },
            &[
                "error: DmsPost is not called whenever DmsPre was, and does not hear which tasks it paused: give it \
               After: !GetAtt DmsPre.Revision",
            ],
        ),
        (
            |of| of["Target"]["DependsOn"] = json!(["Role1ABCC5F0"]),
            &[
                "error: Target (AWS::DMS::Endpoint) may change before its tasks have stopped: add DependsOn: DmsPre",
                "error: Task (AWS::DMS::ReplicationTask) may change before its tasks have stopped: add DependsOn: DmsPre",
            ],
        ),
        (
            |of| drop(of.as_object_mut().unwrap().remove("DmsPost")),
            &["error: nothing starts the tasks when Target, Task may change: add a Custom::DmsPost \
               (docs/own-template.md)"],
        ),
        (
            |of| of.as_object_mut().unwrap().retain(|name, _| !["Target", "Task"].contains(&name.as_str())),
            &[
                "warning: DmsPre looks after nothing: there is no AWS::DMS::* resource in this template, and tasks of \
               other stacks are not looked after, nested ones included",
            ],
        ),
    ];
    let templates = rows.map(|(edit, says)| {
        let mut template = synthesized();
        edit(&mut template["Resources"]);
        (template.to_string(), says)
    });
    let found = findings(&templates.clone().map(|(text, _)| text));
    for ((text, says), found) in templates.iter().zip(&found) {
        assert_eq!(found, says, "{text}");
    }
}

#[test]
fn the_command_takes_what_ships_without_an_account() {
    for file in ["cfn/stream.yaml", EXAMPLE] {
        let output = check(file);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), format!("{file}: no findings\n"));
    }
}

#[test]
fn errors_fail_the_command_warnings_do_not_and_neither_does_what_is_no_template_pass() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yaml");
    let name = file.display();
    let warned = "{Resources: {DmsPre: {Type: 'Custom::DmsPre', Properties: {ServiceTimeout: 3600, DeploymentId: !Ref A}}}}";
    let (line, no_template) =
        ("warning: DmsPre looks after nothing", "this is no template: it has no Resources");
    for (template, passes, line, last) in [
        (warned.to_owned(), true, line, format!("{name}: 0 errors, 1 warning\n")),
        (warned.replace("3600", "60"), false, "error: DmsPre", format!("{name}: 1 error, 1 warning\n")),
        ("- a list".to_owned(), false, "", format!("{name}: {no_template}\n")),
        ("a: [".to_owned(), false, "", format!("{name}: this is neither YAML nor JSON: ")),
    ] {
        std::fs::write(&file, &template).unwrap();
        let output = check(&name.to_string());
        assert_eq!(output.status.code(), Some(i32::from(!passes)), "{template}");
        assert!(text(&output.stdout).starts_with(line), "{template}");
        let end = if passes { text(&output.stdout).lines().last().unwrap() } else { text(&output.stderr) };
        assert!(end.starts_with(last.trim_end_matches('\n')), "{end}");
    }
    let output = check("nowhere.yaml");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("TEMPLATE: [Errno 2] No such file"), "{}", text(&output.stderr));
}
