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
             <Parameters>{}</Parameters></member></Stacks>",
            ["VpcId", "SubnetIds", "SecurityGroupIds", "SourceSecretArn"].map(|name| format!(
                "<member><ParameterKey>{name}</ParameterKey><ParameterValue>it-1</ParameterValue></member>"
            )).concat()
        ),
        // The local cloud doesn't tell a stack's role.
        "CreateChangeSet"
            if !body.contains("&RoleARN=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdeployer") =>
        {
            panic!("no role in {body}")
        }
        "CreateChangeSet" => format!("<Id>arn:aws:changeSet/1</Id><StackId>{ID}</StackId>"),
        "DescribeChangeSet" => "<Status>CREATE_COMPLETE</Status><Changes></Changes>".to_owned(),
        "GetTemplate" => "<TemplateBody>Resources: {}</TemplateBody>".to_owned(),
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

/// Runs a program that takes one of the programs' modules by itself.
async fn python(program: &[&str]) -> Result<String, String> {
    let mut python = Command::new(tool("python").unwrap());
    python.args(["-B", "-c"]).args(program).env("PYTHONPATH", root().join("cfn/operate"));
    said(&mut python).await
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
        let said = python(&[PROGRAM, before, now]).await;
        assert_eq!(said.is_ok(), refused.is_empty(), "{before} {now}: {said:?}");
        assert_says(&said.unwrap_or_else(|refusal| refusal), &[refused]);
    }
}

#[tokio::test]
async fn an_operation_is_told_by_the_stacks_events_and_each_rollback_belongs_to_the_one_that_it_undoes() {
    // The stack's own events are named by their status alone, and each comes a second after the one before.
    const PROGRAM: &str = "
import sys, events
from datetime import datetime, timezone
from types import SimpleNamespace as It

def event(at, said):
    resource, _, said = said.rpartition(':')
    status, _, reason = said.partition('=')
    return {
        'EventId': str(at), 'Timestamp': datetime.fromtimestamp(at, timezone.utc), 'StackId': 'id',
        'PhysicalResourceId': '' if resource else 'id', 'LogicalResourceId': resource or 'stack',
        'ResourceType': '', 'ResourceStatus': status, 'ResourceStatusReason': reason,
    }

all = [event(at, said) for at, said in enumerate(sys.argv[1].split('; '))]
pages = It(paginate=lambda **_: It(search=lambda _: reversed(all)))
events.client = lambda _: It(get_paginator=lambda _: pages)
it = events.last_operation('id')
print('; '.join([it.name, it.events[0].id, f'{it.seconds:.0f} s', *it.failures]) if it else None)
if sys.argv[2]:
    print(events.followed('id', sys.argv[2]).end.id)
";
    const MADE: &str = "CREATE_IN_PROGRESS; CREATE_COMPLETE; ";
    const STUCK: &str = "UPDATE_IN_PROGRESS; A:UPDATE_FAILED=bad; UPDATE_ROLLBACK_IN_PROGRESS; A:UPDATE_FAILED=worse; \
                         UPDATE_ROLLBACK_FAILED; ";
    for (happens, follow_after, told) in [
        ("UPDATE_IN_PROGRESS; A:UPDATE_IN_PROGRESS", "", "update; 2; 1 s"),
        // What ends before anything begins is the end of something else.
        ("UPDATE_IN_PROGRESS; UPDATE_COMPLETE_CLEANUP_IN_PROGRESS; UPDATE_COMPLETE", "0", "update; 2; 2 s"),
        (
            "UPDATE_IN_PROGRESS; A:UPDATE_FAILED=bad; UPDATE_ROLLBACK_IN_PROGRESS; UPDATE_ROLLBACK_COMPLETE",
            "1",
            "update, rolled back; 2; 3 s; first failure: A: bad",
        ),
        (
            "UPDATE_IN_PROGRESS; UPDATE_ROLLBACK_IN_PROGRESS=User Initiated; A:UPDATE_COMPLETE; UPDATE_ROLLBACK_COMPLETE",
            "1",
            "update, cancelled; 2; 3 s",
        ),
        (STUCK, "1", "update, rolled back; 2; 4 s; first failure: A: bad; and in the rollback: A: worse"),
        (
            &format!(
                "{STUCK}UPDATE_ROLLBACK_IN_PROGRESS=User Initiated; A:UPDATE_COMPLETE; UPDATE_ROLLBACK_COMPLETE"
            ),
            "",
            "rollback, continued; 7; 2 s",
        ),
        (
            &format!(
                "{STUCK}UPDATE_ROLLBACK_IN_PROGRESS=User Initiated; A:UPDATE_FAILED=worse; UPDATE_ROLLBACK_FAILED"
            ),
            "",
            "rollback, continued; 7; 2 s; first failure: A: worse",
        ),
        (
            "UPDATE_IN_PROGRESS; A:UPDATE_FAILED=bad; UPDATE_FAILED; UPDATE_ROLLBACK_IN_PROGRESS=User Initiated; \
             UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS; UPDATE_ROLLBACK_COMPLETE",
            "",
            "rollback after UPDATE_FAILED; 5; 2 s",
        ),
        (
            "IMPORT_IN_PROGRESS; A:IMPORT_COMPLETE; A:UPDATE_IN_PROGRESS; A:UPDATE_COMPLETE; IMPORT_COMPLETE",
            "1",
            "import; 2; 4 s",
        ),
        (
            "IMPORT_IN_PROGRESS; A:IMPORT_FAILED=gone; IMPORT_ROLLBACK_IN_PROGRESS; IMPORT_ROLLBACK_COMPLETE",
            "1",
            "import, rolled back; 2; 3 s; first failure: A: gone",
        ),
        ("UPDATE_IN_PROGRESS; DELETE_IN_PROGRESS; A:DELETE_COMPLETE", "", "deletion; 3; 1 s"),
    ] {
        let all = format!("{MADE}{happens}");
        let all = all.trim_end_matches("; ");
        let said = python(&[PROGRAM, all, follow_after]).await.unwrap();
        let lines: Vec<_> = said.lines().filter(|it| !it.contains("  ")).collect();
        let end = (all.matches("; ").count()).to_string();
        let expected = if follow_after.is_empty() { vec![told] } else { vec![told, &end] };
        assert_eq!(lines, expected, "{all}");
    }
    // Events are kept for 90 days.
    assert_eq!(python(&[PROGRAM, "A:UPDATE_COMPLETE; UPDATE_COMPLETE", ""]).await.unwrap(), "None\n");
}

#[tokio::test]
async fn a_plan_that_dmspre_would_refuse_is_an_error() {
    const PROGRAM: &str = "
import io, sys, failure, plan
from types import SimpleNamespace as It
plan.function_of = lambda stack: 'function'
plan.client = lambda _: It(invoke=lambda **_: {'Payload': io.StringIO(sys.argv[1])})
try:
    for line in plan.tasks(It(stack_id='', id=''), 'stack', [It(type=plan.PRE)]):
        print(line)
except failure.Failure as refused:
    sys.exit(str(refused))
";
    for (answer, refused) in [
        (r#"{"Tasks": ["orders is running: stop"]}"#, ""),
        (r#"{"Tasks": ["orders is running: stop"], "Refused": []}"#, ""),
        (
            r#"{"Tasks": ["orders is running: fail: why"], "Refused": ["why, and what to do"]}"#,
            "refuse this deployment:\n  why, and",
        ),
    ] {
        let said = python(&[PROGRAM, answer]).await;
        assert_eq!(said.is_ok(), refused.is_empty(), "{said:?}");
        assert_says(&said.unwrap_or_else(|refusal| refusal), &["orders is running", refused]);
    }
}
