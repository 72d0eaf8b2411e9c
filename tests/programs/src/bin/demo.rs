//! Shows a stack's whole life on this machine: `make demo`.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use programs::timeline::{Film, Timeline};
use stage::cloud::stacks::Sight;
use stage::play::{self, Line};

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

#[tokio::main]
async fn main() -> ExitCode {
    let began = now();
    let mut timeline =
        Timeline { title: "A stack's whole life while rows are written".to_owned(), ..Timeline::default() };
    let mut tell = |line: Line| {
        match &line {
            Line::Act(number, title) => timeline.mark(format!("{number}. {title}")),
            Line::Sight(sight) => timeline.sights.push(sight.clone()),
            Line::Carried { dms, written, seen } => timeline.film = Film::new(dms, written, seen),
            Line::Note(_) | Line::Said(..) => {}
        }
        if let Some(line) = render(began, &line) {
            println!("{line}");
        }
    };
    println!(
        "Starting a cloud on this machine: CloudFormation, Lambda and the rest, a database server, and DMS."
    );
    let played = tokio::select! {
        played = play::perform(&mut tell) => played,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("\nInterrupted. The local cloud goes with this process.");
            return ExitCode::from(130);
        }
    };
    let code = match played {
        Ok(played) => {
            println!(
                "\n{BOLD}{:<46} {:<26} {:>7}   ReplicationTask{PLAIN}",
                "operation", "the stack", "took"
            );
            played.acts.iter().for_each(|act| println!("{act}"));
            println!("\n{BOLD}{}{PLAIN}", played.count);
            timeline.verdict = played.count.verdict();
            println!("\nEverything came out as promised, in {:.0} s.", now() - began);
            ExitCode::SUCCESS
        }
        Err(error) => {
            timeline.fail(&error);
            eprintln!("\n{RED}It came out differently: {error:#}{PLAIN}");
            ExitCode::FAILURE
        }
    };
    println!("{}", timeline.write("demo.svg"));
    code
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A line as people read it; none if it says nothing to them.
fn render(began: f64, line: &Line) -> Option<String> {
    match line {
        Line::Act(number, title) => Some(format!("\n{BOLD}{number}. {title}{PLAIN}")),
        Line::Note(note) => Some(format!("{:>10}  {BOLD}{note}{PLAIN}", "")),
        Line::Carried { .. } => None,
        Line::Said(command, words) => Some(format!("{:>10}  make {command}: {words}", "")),
        Line::Sight(Sight::Stack { kind, status, reason, .. })
            if is_routine(kind, status) && reason.is_empty() =>
        {
            None
        }
        Line::Sight(Sight::Stack { time, resource, kind, status, reason }) => {
            let colour = if status.contains("FAILED") || status.contains("ROLLBACK") { RED } else { DIM };
            let reason = if reason.is_empty() { String::new() } else { format!("  {reason}") };
            let kind = kind.trim_start_matches("AWS::");
            Some(format!(
                "{:>8.1} s  {colour}{resource:<36} {status:<28} {kind}{reason}{PLAIN}",
                time - began
            ))
        }
        Line::Sight(Sight::Function(line)) => {
            let names = [("DbInit", "db-init"), ("-dms-pre", "dms-pre"), ("-dms-post", "dms-post")];
            let (_, name) = names.into_iter().find(|(name, _)| line.function.contains(name))?;
            let words = words(&line.line);
            Some(format!("{:>8.1} s  {CYAN}{name:>9}: {words}{PLAIN}", line.time - began))
        }
    }
}

/// What begins and ends in a moment is told once.
fn is_routine(kind: &str, status: &str) -> bool {
    let takes_time = ["AWS::DMS::", "AWS::RDS::DBCluster", "Custom::", "AWS::CloudFormation::Stack"];
    let is_beginning = status.ends_with("_IN_PROGRESS") && !takes_time.iter().any(|it| kind.starts_with(it));
    is_beginning || status == "REVIEW_IN_PROGRESS" || status.ends_with("_CLEANUP_IN_PROGRESS")
}

/// A line of a handler's log without what is there for machines: the request's ids.
fn words(line: &str) -> &str {
    let line = line.trim_start();
    let words = line.split_once("}: ").map_or(line, |(_, words)| words);
    words.trim_start_matches("INFO").trim()
}
