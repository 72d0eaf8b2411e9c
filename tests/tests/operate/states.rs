//! Stacks in states in which nothing can be deployed or deleted: at a CloudFormation that only says so.

use std::process::Stdio;

use axum::Router;
use axum::extract::State;
use stage::cloud::{root, tool};
use stage::http::Server;
use tokio::process::Command;

use crate::operator::{assert_says, assert_silent_about};

/// What the calls are answered that are made before a state is refused. `State` is the stacks' status.
async fn answer(State(status): State<&'static str>, body: String) -> String {
    if body.contains("Action=GetCallerIdentity") {
        return "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
                </GetCallerIdentityResult></GetCallerIdentityResponse>"
            .to_owned();
    }
    assert!(body.contains("Action=DescribeStacks"), "{body}");
    format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>sluice-stream</StackName>\
         <StackId>arn:aws:cloudformation:eu-west-1:123456789012:stack/sluice-stream/1</StackId>\
         <StackStatus>{status}</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
         <Parameters><member><ParameterKey>VpcId</ParameterKey><ParameterValue>vpc-1</ParameterValue></member>\
         </Parameters></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )
}

/// What a command says, which fails.
async fn refusal(command: &str, endpoint: &str) -> String {
    let output = Command::new(tool("python").unwrap())
        .args(["-B", "cfn/operate", command])
        .current_dir(root())
        .env_clear()
        .envs([
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", "nothing"),
            ("PACKAGED", "cfn"),
            ("PARAMETERS", "VpcId=vpc-1"),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = output.await.unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    assert_eq!(output.status.code(), Some(1), "{}", said.concat());
    said.concat()
}

#[tokio::test]
async fn a_stack_in_the_wrong_state_is_left_alone_and_the_way_out_is_shown() {
    let deletion = "aws cloudformation delete-stack --stack-name sluice-stream";
    let way_out = "aws cloudformation continue-update-rollback --stack-name sluice-stream";
    for (command, status, parts) in [
        (
            "deploy-stream",
            "ROLLBACK_COMPLETE",
            &["can only be deleted", deletion][..],
        ),
        (
            "plan",
            "ROLLBACK_FAILED",
            &["can only be deleted", deletion],
        ),
        (
            "deploy-stream",
            "DELETE_FAILED",
            &["can only be deleted", deletion],
        ),
        (
            "deploy-stream",
            "UPDATE_ROLLBACK_FAILED",
            &["docs/troubleshooting.md", way_out],
        ),
        (
            "deploy-stream",
            "UPDATE_IN_PROGRESS",
            &["wait until that is over"],
        ),
        (
            "plan",
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            &["wait until that is over"],
        ),
        (
            "destroy",
            "UPDATE_ROLLBACK_IN_PROGRESS",
            &["wait until that is over"],
        ),
    ] {
        let routes = Router::new().fallback(answer).with_state(status);
        let server = Server::start(routes).await.unwrap();
        let said = refusal(command, server.endpoint()).await;
        assert_says(&said, &[&format!("sluice-stream is {status}")]);
        assert_says(&said, parts);
        assert_silent_about(&said, &["Traceback"]);
    }
}
