//! What is written to the docs.

use std::fmt::Write as _;
use std::time::Duration;

use programs::compare::{DEAD, EVERY, Operation, Outcome, SetUp, Times};
use time::OffsetDateTime;

/// The page, in Markdown.
pub(crate) fn page(outcomes: &[Outcome], times: &Times, took: Duration) -> String {
    let pace = &times.pace;
    let seconds = |time: Duration| time.as_secs();
    let mut page = format!(
        "# Sluice and its alternatives\n\n\
         `make compare` wrote this page on {}, in {:.0} minutes, on one machine and without AWS. {INTRODUCTION}\n{SET_UPS}\n\
         ## What came of it\n\n{}\n",
        OffsetDateTime::now_utc().date(),
        took.as_secs_f64() / 60.0,
        table(outcomes),
    );
    let _ = write!(
        page,
        "- **The stream rested** while none of its tasks ran, by the statuses in the stand-in for DMS. In the time of the \
         next column DMS was at work: it stopped, made, changed or started a task. The rest of it are DMS's tests of \
         connections, the {} s by which it shows a status late, and what the set-up added.\n\
         - **Until noticed**: at the end no task ran, and for {} s none moved. Then an operator did what the last column \
         says, so that the next operation began with a stream that ran. In reality that is when somebody looks, and if the \
         database has deleted its binary log by then, the changes in it are lost, too.\n\
         - **Lost** are changes in the binary log that did not come out of Kinesis, not even after the operator's help. \
         The writer made a transaction about every {} ms.\n\
         - **Times are a rehearsal's**: DMS takes {} s to stop a task, {} s to start one, {} s to change or make one, and {} s \
         to test a connection. In AWS it can take minutes. So compare, and quote no seconds. A stop and a test are as long as \
         they are so that a look every {} s comes late by half of that, as it does on an average.\n\
         {NOTES}",
        seconds(pace.lag),
        seconds(DEAD),
        EVERY.as_millis(),
        seconds(pace.stop),
        seconds(pace.start),
        seconds(pace.modify),
        seconds(pace.connection_test),
        times.poll,
    );
    page
}

const INTRODUCTION: &str = "The same operations are done, one after the other, to three stacks in the local cloud, while \
rows are inserted, updated and deleted. Each stack is in a cloud of its own; all three streams read the binary log of the \
same database.\n";

const SET_UPS: &str = "\
- **plain** is what `cfn/stream.yaml` has of DMS and Kinesis, and nothing else. Nobody stops the task. Once the stack is \
there, an operator starts it.\n\
- **snippet** has custom resources before and after that, like those that people find on the web. Their handlers \
([index.py](../tests/programs/alternatives/handlers/index.py)) stop the task when the change set changes something of DMS, start it on \
Create, resume it on Update, look every ten seconds, start a task that replaces another with `start-replication`, and \
answer SUCCESS, whatever happened. In some things they are better than most: they read the change set, they choose the way \
to start by the task's status, they test the connections, and they try again what DMS refuses.\n\
- **Sluice** is `cfn/stream.yaml` as it ships.\n";

const NOTES: &str = "\
- **An endpoint** can be changed under a running task here, which goes on with the old settings. In AWS that may be \
refused.\n\
- **A task that runs** cannot be deleted here, so the plain template's replaced task runs on, outside of the stack, and the \
stack is UPDATE_COMPLETE. AWS does not say whether CloudFormation stops it first. If it did, the task's position would go \
with it, and the changes until somebody starts the new task would be lost.\n\
- **An update is cancelled** while the task is being changed, and **a next run fails** once, when it starts. With the plain \
template neither comes about: DMS has refused the change before.\n\
- **By hand**, somebody who stops the task, deploys and resumes it can do with the plain template what the handlers do. That \
was not measured.\n";

fn table(outcomes: &[Outcome]) -> String {
    let mut table =
        "| operation | set-up | the stack | the stream rested | DMS at work | lost | left to people |\n\
                     |---|---|---|---:|---:|---:|---|\n"
            .to_owned();
    let mut last = None;
    for outcome in outcomes {
        let is_first = last.replace(outcome.operation) != Some(outcome.operation);
        let operation = if is_first { outcome.operation.to_string() } else { String::new() };
        let (rest, at_work) = rest(outcome);
        let left: Vec<_> = outcome.left.iter().map(ToString::to_string).collect();
        let left = if left.is_empty() { "–".to_owned() } else { left.join("; ") };
        let _ = writeln!(
            table,
            "| {operation} | {} | {} | {rest} | {at_work} | {} | {left} |",
            outcome.set_up, outcome.status, outcome.lost
        );
    }
    for set_up in [SetUp::Plain, SetUp::Snippet, SetUp::Sluice] {
        let of_it = || outcomes.iter().filter(move |it| it.set_up == set_up);
        let lost: usize = of_it().map(|it| it.lost).sum();
        let left = of_it().filter(|it| !it.left.is_empty()).count();
        let operation = if set_up == SetUp::Plain { "**in all**" } else { "" };
        let _ = writeln!(
            table,
            "| {operation} | {set_up} | | | | **{lost}** | something after {left} of {} |",
            of_it().count()
        );
    }
    table
}

/// How long the stream rested, and how long DMS was at work in it.
fn rest(outcome: &Outcome) -> (String, String) {
    let nothing = || "–".to_owned();
    let seconds = |time: Duration| format!("{:.0} s", time.as_secs_f64());
    match outcome.rest {
        _ if outcome.operation == Operation::Create => (nothing(), nothing()),
        None => ("until noticed".to_owned(), nothing()),
        Some(rest) if rest.time.is_zero() => ("0 s".to_owned(), nothing()),
        Some(rest) => (seconds(rest.time), seconds(rest.at_work)),
    }
}
