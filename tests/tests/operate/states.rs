//! What no local cloud brings about in a moment: stacks in states in which nothing can be done with them, and credentials
//! that expire. The CloudFormation here knows a few answers.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use stage::cloud::{root, said, tool};
use stage::http::Server;
use tokio::process::Command;

use crate::operator::{assert_says, assert_silent_about};

/// A call's answer, as the query protocol wraps it.
fn wrapped(action: &str, result: &str) -> (StatusCode, String) {
    let text = format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>");
    (StatusCode::OK, text)
}

/// Answers a call, with one stack in this status. Once a change set was executed the credentials are of no use any more.
fn answer(status: &str, body: &str, has_expired: &AtomicBool) -> (StatusCode, String) {
    const ID: &str = "arn:aws:cloudformation:eu-west-1:123456789012:stack/sluice-stream/1";
    let action = body.split('&').find_map(|it| it.strip_prefix("Action="));
    let action = action.unwrap();
    if has_expired.load(Ordering::Relaxed) {
        let error = "<Code>ExpiredToken</Code><Message>The security token is expired</Message>";
        let text = format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>");
        return (StatusCode::BAD_REQUEST, text);
    }
    if action == "DescribeEvents" {
        let error = "<Code>AccessDenied</Code><Message>no such permission</Message>";
        return (StatusCode::FORBIDDEN, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"));
    }
    let result = match action {
        "GetCallerIdentity" => "<Account>123456789012</Account>".to_owned(),
        "DescribeStacks" => format!(
            "<Stacks><member><StackName>sluice-stream</StackName><StackId>{ID}</StackId>\
             <StackStatus>{status}</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
             <Parameters><member><ParameterKey>VpcId</ParameterKey><ParameterValue>vpc-1</ParameterValue></member>\
             <member><ParameterKey>DeletionProtection</ParameterKey><ParameterValue>true</ParameterValue></member>\
             </Parameters></member></Stacks>"
        ),
        // The local cloud doesn't tell a stack's role.
        "CreateChangeSet"
            if !body.contains("&RoleARN=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdeployer") =>
        {
            panic!("no role in {body}")
        }
        "CreateChangeSet" => format!("<Id>arn:aws:changeSet/1</Id><StackId>{ID}</StackId>"),
        "DescribeChangeSet" => "<Status>CREATE_COMPLETE</Status>".to_owned(),
        "DescribeStackEvents" => {
            format!("<StackEvents><member><StackId>{ID}</StackId><EventId>1</EventId></member></StackEvents>")
        }
        "ListStackResources" => "<StackResourceSummaries></StackResourceSummaries>".to_owned(),
        "ExecuteChangeSet" => {
            has_expired.store(true, Ordering::Relaxed);
            String::new()
        }
        other => panic!("nobody should ask for {other}"),
    };
    wrapped(action, &result)
}

/// What a command says, which fails, where the stack is in this status.
async fn refusal(command: &str, status: &'static str) -> String {
    let has_expired = Arc::new(AtomicBool::default());
    let routes = move |body: String| {
        let answer = answer(status, &body, &has_expired);
        async move { answer }
    };
    let server = Server::start(Router::new().fallback(routes)).await.unwrap();
    let output = Command::new(tool("python").unwrap())
        .args(["-B", "cfn/operate", command])
        .current_dir(root())
        .env_clear()
        .envs([
            ("AWS_ENDPOINT_URL", server.endpoint()),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", "nothing"),
            ("PACKAGED", "cfn"),
            ("ROLE_ARN", "arn:aws:iam::123456789012:role/deployer"),
            ("PARAMETERS", "VpcId=vpc-1"),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = output.await.unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    let said = said.concat();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_silent_about(&said, &["Traceback"]);
    said
}

#[tokio::test]
async fn a_stack_in_the_wrong_state_is_left_alone_and_the_way_out_is_shown() {
    const WAIT: &str = "wait until that is over";
    const DELETE: &str = "aws cloudformation delete-stack --stack-name sluice-stream";
    const CONTINUE: &str = "aws cloudformation continue-update-rollback --stack-name sluice-stream";
    for (command, status, way_out) in [
        ("deploy-stream", "ROLLBACK_COMPLETE", DELETE),
        ("plan", "ROLLBACK_FAILED", DELETE),
        ("deploy-stream", "DELETE_FAILED", DELETE),
        ("deploy-stream", "UPDATE_ROLLBACK_FAILED", CONTINUE),
        ("deploy-stream", "UPDATE_IN_PROGRESS", WAIT),
        ("plan", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", WAIT),
        ("destroy", "UPDATE_ROLLBACK_IN_PROGRESS", WAIT),
    ] {
        let said = refusal(command, status).await;
        assert_says(&said, &[&format!("sluice-stream is {status}"), way_out]);
    }
}

#[tokio::test]
async fn nothing_is_deleted_where_something_is_protected() {
    let said = refusal("destroy", "UPDATE_COMPLETE").await;
    assert_says(&said, &["is protected", "DeletionProtection=false"]);
}

#[tokio::test]
async fn whoever_loses_sight_of_a_deployment_is_told_that_it_goes_on() {
    let said = refusal("deploy-database", "UPDATE_COMPLETE").await;
    let parts = ["The security token is expired", "goes on: `make status`"];
    assert_says(&said, &parts);
    // Nor does a deployment depend on what whoever makes it may not read.
    assert_says(
        &said,
        &["validation found can't be read (cloudformation:DescribeEvents): ", "no such permission"],
    );
}

#[tokio::test]
async fn a_task_that_ran_before_a_deployment_and_does_not_run_after_it_is_an_error() {
    // Healing may be about to resume it: the program waits for minutes, and this test for none.
    const PROGRAM: &str = "
import sys, deploy, failure
deploy.PATIENCE_S, before, now = 0, *map(eval, sys.argv[1:])
deploy.states = lambda stack: now
try:
    deploy.tell_tasks('stack', before)
except failure.Failure as refused:
    sys.exit(str(refused))
";
    for (before, now, refused) in [
        ("{'A': 'running', 'B': 'stopped'}", "{'A': 'running', 'B': 'stopped', 'C': 'ready'}", ""),
        ("{'A': 'running', 'Gone': 'running'}", "{'A': 'running'}", ""),
        ("{'A': 'running', 'B': 'running'}", "{'A': 'stopped', 'B': 'running'}", "A ran before"),
        ("{'B': 'running', 'A': 'running'}", "{'A': 'failed', 'B': 'stopped'}", "A, B ran before"),
    ] {
        let mut python = Command::new(tool("python").unwrap());
        python.args(["-B", "-c", PROGRAM, before, now]).env("PYTHONPATH", root().join("cfn/operate"));
        let said = said(&mut python).await;
        assert_eq!(said.is_ok(), refused.is_empty(), "{before} {now}: {said:?}");
        assert_says(&said.unwrap_or_else(|refusal| refusal), &[refused]);
    }
}
