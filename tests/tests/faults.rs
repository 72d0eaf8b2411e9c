//! The functions as they ship, and everything that can end them or stand in their way: whatever it is, CloudFormation
//! hears of it once. What it hears is docs/faults.md.

#[path = "faults/fault.rs"]
mod fault;
#[path = "faults/table.rs"]
mod table;
#[path = "faults/world.rs"]
mod world;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stage::callback::{Put, SIGNATURE};
use stage::lambda::{self, Function};
use stage::mysql::{MysqlServer, Options};
use stage::on_failure::Ending;
use stage::request::REQUEST_ID;
use stage::stack::STACK;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use fault::{ALL, FAULTS, Voice, What};
use table::Heard;
use world::{Case, IN_THE_SQL, World};

const PASSWORD: &str = "correct-horse-battery-staple";

/// How many cases are played at the same time.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_cloudformation_hears_of_it_once() {
    let options = Options { password: PASSWORD.to_owned(), ..Options::default() };
    let mysql = Arc::new(MysqlServer::start(options).await.unwrap());
    let mut cases: Vec<Case> = cases();
    // The long ones first, so that the rest fits beside them.
    cases.sort_by_key(|case| std::cmp::Reverse(case.fault.granted));
    let stage = Arc::new(Semaphore::new(AT_ONCE));
    let mut played = Vec::new();
    for case in cases {
        let (mysql, stage) = (Arc::clone(&mysql), Arc::clone(&stage));
        let playing = tokio::spawn(async move {
            let _place = stage.acquire().await.unwrap();
            play(case, &mysql).await
        });
        played.push((case, playing));
    }
    let (mut heard, mut failed) = (Vec::new(), Vec::new());
    for (case, playing) in played {
        match playing.await {
            Ok(it) => heard.push((case.number, it)),
            Err(_) => failed.push(format!("{} of {}: {}", case.kind, case.resource, case.fault.title)),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    heard.sort_by_key(|(number, _)| *number);
    let heard: Vec<Heard> = heard.into_iter().map(|(_, it)| it).collect();
    table::publish(&heard);
}

/// Every fault, every function, Create and Update.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fault in FAULTS.iter().filter(|fault| fault.is_playable()) {
        for resource in fault.resources {
            for kind in ["Create", "Update"] {
                let number = cases.len();
                cases.push(Case { fault, resource, kind, number });
            }
        }
    }
    cases
}

/// Plays a case, and looks at all that it left.
async fn play(case: Case, mysql: &MysqlServer) -> Heard {
    let world = World::with(case, mysql).await;
    let began = Instant::now();
    let (delivered, mut log) = deliver(&world, mysql).await;
    if let Err(record) = &delivered {
        world.clears();
        log += &last_words(&case, record).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let puts = world.callback.puts();
    keeps_its_mouth_shut(&case, &log, &puts);
    assert_eq!(delivered.is_err(), case.fault.voice == Voice::LastWords, "{log}");
    let mut specifics = world.specifics();
    let record = delivered.err();
    let died = record.as_ref().map(|it| &it["requestContext"]["requestId"]);
    specifics.extend(died.map(|id| id.as_str().unwrap().to_owned()));
    let answer = settled(&one_answer(&world, &puts, record.as_ref()), &specifics);
    Heard { fault: case.fault, function: case.function(), answer, seconds }
}

/// Lets the function have the request. What came of it, or the record for its destination, and its log.
async fn deliver(world: &World, mysql: &MysqlServer) -> (Result<Value, Value>, String) {
    let (case, event) = (&world.case, world.event());
    let never = |ending: Ending| {
        let record = ending.record(case.function(), &lambda::request_id(), &event);
        (Err(record), String::new())
    };
    if matches!(case.fault.what, What::TooOld) {
        return never(Ending::TooOld);
    }
    let mut function = match world.function().await {
        Ok(function) => function,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
            return never(Ending::NoEntry("no such file or directory".to_owned()));
        }
    };
    let process = function.pid().unwrap();
    let strike = async {
        world.strike(process, mysql).await;
        std::future::pending::<Infallible>().await
    };
    let time = Duration::from_secs(case.fault.granted);
    let delivered = tokio::select! {
        delivered = function.deliver(event.clone(), time) => delivered,
        never = strike => match never {},
    };
    let log = function.output().await;
    if !matches!(case.fault.what, What::BadEnvironment) {
        let first = format!("{} of {} in stack stream", case.kind, case.resource);
        assert!(log.contains(&first), "{log}");
    }
    if matches!(case.fault.what, What::Memory) {
        assert!(log.contains("memory allocation of"), "{log}");
    }
    (delivered, log)
}

/// Lets the destination have the record; its log. The binaries take turns, since the templates may take any.
async fn last_words(case: &Case, record: &Value) -> String {
    let turn = case.number % ALL.len();
    let resource = ALL[turn];
    let program = lambda::bootstrap(Case { resource, ..*case }.function()).unwrap();
    let mut command = Command::new(program);
    let function = Function::run("last-words", &mut command, &[("RUST_LOG", "trace")]);
    let function = function.await.unwrap();
    function.invoke(record.clone()).await.unwrap();
    let log = function.end().await;
    assert!(log.contains("CloudFormation has the answer"), "{log}");
    log
}

/// The one answer, after a look at how it came and what it says.
fn one_answer(world: &World, puts: &[Put], record: Option<&Value>) -> Value {
    let case = &world.case;
    // What was refused is no answer, and was not tried again.
    let puts = if let What::Status(_) = case.fault.what { &puts[1..] } else { puts };
    // The callback that was slow to say so has it twice.
    let times = if let What::Way(_, [_, _]) = case.fault.what { 2 } else { 1 };
    assert_eq!(puts.len(), times, "{puts:?}");
    for put in puts {
        put.read(&world.event()).unwrap();
        assert_eq!(put.path_and_query, world.callback.path_and_query());
        assert_eq!(put.body, puts[0].body, "two answers to one request");
    }
    let answer = puts[0].json();
    assert_eq!(answer["StackId"], STACK);
    assert_eq!(answer["RequestId"], REQUEST_ID);
    assert_eq!(answer["LogicalResourceId"], case.resource);
    let id = match case.kind {
        "Create" => format!("{}-0b6ad7a0-a73b-11f0-8f0e-0a1b2c3d4e5f", case.resource),
        _ => format!("{}-0b6ad7a0", case.resource),
    };
    assert_eq!(answer["PhysicalResourceId"], id, "{answer}");
    if case.fault.says.is_empty() {
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        return answer;
    }
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains(case.fault.says), "{reason}");
    // Where to look: in the log of whoever speaks, and in that of whoever can't any more.
    let speaker = if record.is_some() { "last-words" } else { case.function() };
    let place = format!("(log group /aws/lambda/{speaker}, stream ");
    assert!(reason.contains(&place), "{reason}");
    if let Some(record) = record {
        let died = record["requestContext"]["requestId"].as_str().unwrap();
        let names = |end: &str| reason.contains(&format!("function {}{end}", case.function()));
        assert!(names(" ") || names(":"), "{reason}");
        assert!(reason.contains(&format!("Lambda request {died})")), "{reason}");
    }
    answer
}

/// Looks through all that was said for whatever opens a door.
fn keeps_its_mouth_shut(case: &Case, log: &str, puts: &[Put]) {
    let mut said = log.to_owned();
    for put in puts {
        said += &String::from_utf8_lossy(&put.body);
    }
    let (_, signature) = SIGNATURE.split_once('=').unwrap();
    for door in [signature, "X-Amz-", "Signature=", "not-a-key", PASSWORD, IN_THE_SQL] {
        assert!(!said.contains(door), "{door} of {} is in {said}", case.resource);
    }
}

/// Status and head of the reason, without what is different in each run or on each system.
fn settled(answer: &Value, specifics: &[String]) -> String {
    let status = answer["Status"].as_str().unwrap();
    let Some(reason) = answer["Reason"].as_str() else {
        return status.to_owned();
    };
    let ends = [" (what it wrote", " (log group"];
    let head = ends.iter().filter_map(|end| reason.find(end)).min().map_or(reason, |end| &reason[..end]);
    let mut head = head.to_owned();
    for specific in specifics {
        head = head.replace(specific.as_str(), "…");
    }
    // How often something was tried hangs on the machine's speed, and numbers of errors on its system.
    for (before, after) in [("(os error ", ")"), ("(attempt ", " of 6)")] {
        if let Some((start, end)) = number_between(&head, before, after) {
            head.replace_range(start..end, "…");
        }
    }
    format!("{status}: {head}")
}

/// Where a text holds a number between two others.
fn number_between(text: &str, before: &str, after: &str) -> Option<(usize, usize)> {
    text.match_indices(before).find_map(|(at, _)| {
        let start = at + before.len();
        let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
        let end = start + digits;
        (digits > 0 && text[end..].starts_with(after)).then_some((start, end))
    })
}
