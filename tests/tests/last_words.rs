//! What CloudFormation hears, in the local cloud, of functions that end without an answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use stage::cloud::Cloud;
use stage::cloud::stacks::{Sight, Watch};
use stage::lambda;
use stage::play::{Line, Play, mappings};

/// The reasons that the stack's events gave for a resource's status.
fn reasons<'a>(sights: impl IntoIterator<Item = &'a Sight>, of: &str, in_status: &str) -> Vec<&'a str> {
    let of_it = |sight: &'a Sight| match sight {
        Sight::Stack { resource, status, reason, .. } if resource == of && status == in_status => {
            Some(reason.as_str())
        }
        _ => None,
    };
    sights.into_iter().filter_map(of_it).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dms_pre_fails_its_resource_and_the_task_that_it_stopped_runs_again() {
    let mut play = Play::new(Cloud::start().await.unwrap()).await.unwrap();
    play.stream_and_all_before_it().await.unwrap();

    let (mut story, mut killed) = (Vec::new(), false);
    let mut tell = |line| {
        if let Line::Sight(Sight::Function(said)) = &line
            && !killed
            && said.function == "sluice-dms-pre"
            && said.line.contains("stopping")
        {
            let pid = said.pid.to_string();
            let kill = Command::new("kill").args(["-KILL", &pid]).status();
            killed = kill.unwrap().success();
        }
        story.push(line);
    };
    let changed = json!({ "TableMappings": mappings("examples") });
    let ended = play.deploy(&changed, &mut tell).await.unwrap();
    assert!(killed, "{story:#?}");

    assert_eq!(ended, "UPDATE_ROLLBACK_COMPLETE");
    let sights = story.iter().filter_map(|line| match line {
        Line::Sight(sight) => Some(sight),
        _ => None,
    });
    let reasons = reasons(sights, "DmsPre", "UPDATE_FAILED");
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    for part in [
        "Received response status [FAILED] from custom resource",
        "sluice-dms-pre",
        "ended without an answer",
        "Runtime exited",
    ] {
        assert!(reasons[0].contains(part), "no {part:?} in {}", reasons[0]);
    }
    play.resumed_within(Duration::from_secs(60), &mut |_| {}).await.unwrap();
    assert!(play.cloud.dms.violations().is_empty());
}

/// A custom resource whose function is a program that ends before it asks for work, and last words that are ours.
fn hopeless(folder: &Path, last_words: &Path) -> String {
    let function = |name: &str, code: &Path, more: &str| {
        format!(
            "  {name}:\n    Type: AWS::Lambda::Function\n    Properties:\n      Code: {}\n      Runtime: provided.al2023\n      \
             Handler: bootstrap\n      Role: arn:aws:iam::000000000000:role/anybody\n{more}",
            code.display()
        )
    };
    format!(
        "Resources:\n{}{}\
         \x20 Settings:\n    Type: AWS::Lambda::EventInvokeConfig\n    Properties:\n      FunctionName: !Ref Hopeless\n      \
         Qualifier: $LATEST\n      MaximumRetryAttempts: 0\n      DestinationConfig:\n        OnFailure:\n          \
         Destination: !GetAtt LastWords.Arn\n\
         \x20 Resource:\n    Type: Custom::Resource\n    DependsOn: Settings\n    Properties:\n      \
         ServiceToken: !GetAtt Hopeless.Arn\n      ServiceTimeout: 1800\n",
        function("Hopeless", folder, ""),
        function("LastWords", last_words, "      Timeout: 60\n"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_cannot_start_fails_its_resource_at_the_creation_and_at_the_deletion() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("code");
    std::fs::create_dir(&code).unwrap();
    let bootstrap = code.join("bootstrap");
    std::fs::copy("/bin/false", &bootstrap).unwrap();
    let template = folder.path().join("hopeless.yaml");
    let text = hopeless(&code, &lambda::built().join("db-init"));
    std::fs::write(&template, text).unwrap();

    let cloud = Cloud::start().await.unwrap();
    let template = cloud.package(template.to_str().unwrap()).await.unwrap();
    let mut sights = Vec::new();
    let (parameters, mut watch) = (BTreeMap::new(), Watch::default());
    let ended = cloud
        .deploy("hopeless", &template, &parameters, &mut watch, &mut |it| {
            sights.push(it);
        })
        .await
        .unwrap();
    assert_eq!(ended, "ROLLBACK_FAILED", "{}", cloud.log());
    for status in ["CREATE_FAILED", "DELETE_FAILED"] {
        let reasons = reasons(&sights, "Resource", status);
        assert_eq!(reasons.len(), 1, "{status}: {sights:#?}");
        assert!(
            reasons[0].contains("ended without an answer: bootstrap exited during init"),
            "{}",
            reasons[0]
        );
    }
}
