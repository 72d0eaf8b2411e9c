//! Whether what came of a case is what had to.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use stage::callback::{Line, MAX_BYTES as MAX, Put, SIGNATURE};

use crate::saw;

use super::case::Case;
use super::event::SECRET;
use super::expectation::{End, Expected, Sending, To, Work};
use super::handler::{Behaviour, Called, Calls};

const NOT_CREATED: &str = "-not-created";

/// What was seen of a case.
pub(crate) struct Seen {
    pub(crate) url: String,
    pub(crate) event: Value,
    /// What Lambda was told.
    pub(crate) result: anyhow::Result<()>,
    pub(crate) line: Line,
    pub(crate) calls: Calls,
    pub(crate) log: String,
}

/// Stack and logical id, and the physical id that was made of them.
pub(crate) type Made = ([String; 2], String);

/// Fails if text holds what nobody may see.
pub(crate) fn is_discreet(text: &str) -> anyhow::Result<()> {
    let (_, signature) = SIGNATURE.split_once('=').unwrap();
    for secret in [SECRET, "X-Amz-", signature] {
        ensure!(!text.contains(secret), "{secret} is in {text}");
    }
    Ok(())
}

/// Judges a case; tells the id that was made, if one was.
pub(crate) fn judge(case: &Case, seen: &Seen) -> anyhow::Result<Option<Made>> {
    let (line, calls) = (&seen.line, &seen.calls);
    is_discreet(&seen.log)?;
    if let Err(error) = &seen.result {
        is_discreet(&format!("{error:#} {error:?}"))?;
    }
    ensure!(line.accepted.len() <= 1, "accepted {} times", line.accepted.len());
    ensure!(line.followed == 0, "a redirect was followed");
    ensure!(calls.constructed <= 1, "constructed twice");
    ensure!(calls.calls.len() <= 1, "called twice: {:?}", calls.calls);
    let called = |call: Called| match case.behaviour.can_be_constructed() {
        true => vec![call],
        false => vec![],
    };
    match Expected::of(case, &seen.event, &seen.url) {
        Expected::Nothing => {
            saw("an event that nobody can be answered for");
            ensure!(line.puts.is_empty(), "nobody was to be answered");
            ensure!(calls.constructed == 0, "nothing was to be begun");
            ensure!(seen.result.is_ok(), "another delivery can't help: {:?}", seen.result);
            Ok(None)
        }
        Expected::Notice => {
            saw("a notice");
            ensure!(line.puts.is_empty(), "nobody was to be answered");
            ensure!(calls.calls == called(Called::Notified), "{:?}", calls.calls);
            let is_well = attributes(&case.behaviour).is_some();
            ensure!(seen.result.is_ok() == is_well, "{:?}", seen.result);
            Ok(None)
        }
        Expected::Answer(to, work) => {
            saw(match work {
                Work::LastWords => "last words",
                Work::Refused => "a request that is refused",
                Work::NothingToDelete => "a Delete of what was not created",
                Work::Called(_) => "a request that is answered",
            });
            let ids = [&to.stack_id, &to.request_id, &to.logical_id].map(String::clone);
            let made = made(&to, calls, seen)?;
            match work {
                Work::Called(kind) if !to.is_late => {
                    let id = made.clone().or_else(|| to.physical_id.clone());
                    let call = called(Called::For(kind, ids, id.unwrap_or_default()));
                    let unanswered = line.puts.is_empty() && to.physical_id.is_none();
                    ensure!(calls.calls == call || unanswered, "{:?}, not {call:?}", calls.calls);
                    ensure!(calls.constructed == 1, "the handler was not made");
                }
                Work::Called(_) => {}
                _ => ensure!(calls.constructed == 0, "{work:?}, and a handler was made"),
            }
            sending(case, &to, seen)?;
            for put in &line.puts {
                ensure!(put.body == line.puts[0].body, "two answers that differ");
                envelope(put, &to, seen).with_context(|| format!("in {put:?}"))?;
                outcome(case, put, &to, &work).with_context(|| format!("in {put:?}"))?;
            }
            Ok(made.map(|id| ([to.stack_id, to.logical_id], id)))
        }
    }
}

/// Where no id came: the one that was made, without the mark of a Create that made nothing.
fn made(to: &To, calls: &Calls, seen: &Seen) -> anyhow::Result<Option<String>> {
    let (Some(put), None) = (seen.line.puts.first(), &to.physical_id) else {
        return Ok(None);
    };
    let body: Value = serde_json::from_slice(&put.body)?;
    let id = body["PhysicalResourceId"].as_str().context("no id")?;
    let was_called = !calls.calls.is_empty() || seen.event.get("ResponseURL").is_none();
    match id.strip_suffix(NOT_CREATED) {
        Some(id) => {
            ensure!(!was_called, "{id} may have been made, and says it was not");
            Ok(Some(id.to_owned()))
        }
        None => {
            ensure!(was_called, "{id} was not made, and doesn't say so");
            Ok(Some(id.to_owned()))
        }
    }
}

fn sending(case: &Case, to: &To, seen: &Seen) -> anyhow::Result<()> {
    let (line, sending) = (&seen.line, Sending::of(case));
    let said = format!("{} of {sending:?}; {:?}", line.puts.len(), seen.result);
    saw(match sending.end {
        End::Accepted if sending.attempts > 1 => "an answer that is taken at another attempt",
        End::Accepted => "an answer that is taken",
        End::Refused => "an answer that is refused",
        End::Unreachable => "nobody at home",
    });
    ensure!(line.puts.len() <= sending.attempts, "too many: {said}");
    if sending.end == End::Unreachable {
        ensure!(line.accepted.is_empty(), "{said}");
        ensure!(seen.result.is_err() || to.is_late, "{said}");
    } else if sending.is_in_time && !to.is_late {
        ensure!(line.puts.len() == sending.attempts, "too few: {said}");
        let accepted = usize::from(sending.end == End::Accepted);
        ensure!(line.accepted.len() == accepted, "{} accepted: {said}", line.accepted.len());
        let is_told = sending.end == End::Accepted;
        ensure!(seen.result.is_ok() == is_told, "what Lambda was told: {said}");
    }
    Ok(())
}

/// What CloudFormation and S3 demand of every answer, and we besides.
fn envelope(put: &Put, to: &To, seen: &Seen) -> anyhow::Result<()> {
    ensure!(seen.url.ends_with(&put.path_and_query), "not what was signed: {}", seen.url);
    ensure!(put.path_and_query.len() > seen.url.len() - 24, "not all that was signed");
    let text = str::from_utf8(&put.body)?;
    is_discreet(text)?;
    let body: Value = serde_json::from_str(text)?;
    let id = body["PhysicalResourceId"].as_str().context("no id")?;
    match &to.physical_id {
        Some(came) => ensure!(id == came, "not the id that came"),
        None => ensure!((1..=1024).contains(&id.len()), "{} bytes of id", id.len()),
    }
    let request = seen.event.get("requestPayload").filter(|_| seen.event.get("ResponseURL").is_none());
    put.read_at_any_length(request.unwrap_or(&seen.event)).map_err(anyhow::Error::msg)?;
    // Where the ids alone are too long for CloudFormation, nobody can help it.
    let room = room(to, id);
    ensure!(room < 0 || text.len() <= MAX, "{} bytes, room for {room}", text.len());
    match body.get("Reason") {
        None => ensure!(body["Data"].is_object(), "no attributes"),
        Some(reason) => {
            let reason = reason.as_str().context("a reason that is no text")?;
            ensure!(!reason.contains(char::is_control), "a control character");
            ensure!(room < 1000 || reason.ends_with("Lambda request lambda-1)"), "no place");
        }
    }
    Ok(())
}

/// How many bytes of reason fit beside the ids; too few if they alone are too long.
fn room(to: &To, id: &str) -> isize {
    let body = json!({
        "Status": "FAILED", "Reason": "…", "PhysicalResourceId": id, "StackId": to.stack_id,
        "RequestId": to.request_id, "LogicalResourceId": to.logical_id,
    });
    MAX.cast_signed() - body.to_string().len().cast_signed()
}

/// The attributes, if the work ends well.
fn attributes(behaviour: &Behaviour) -> Option<BTreeMap<&str, &str>> {
    match behaviour {
        Behaviour::Succeeds(attributes) => {
            Some(attributes.iter().map(|(name, value)| (*name, value.as_str())).collect())
        }
        Behaviour::ItsTaskPanics { waits: false } => Some(BTreeMap::new()),
        _ => None,
    }
}

/// What this request's answer has to say.
fn outcome(case: &Case, put: &Put, to: &To, work: &Work) -> anyhow::Result<()> {
    let body: Value = serde_json::from_slice(&put.body)?;
    let mut attributes = match work {
        Work::Called(_) if to.is_late => return Ok(()),
        Work::Called("Delete") => attributes(&case.behaviour).map(|_| BTreeMap::new()),
        Work::Called(_) => attributes(&case.behaviour),
        Work::NothingToDelete => Some(BTreeMap::new()),
        Work::Refused | Work::LastWords => None,
    };
    let mut head = match work {
        Work::Called(_) => head(&case.behaviour),
        _ => String::new(),
    };
    if let Some(data) = &attributes {
        let body = json!({
            "Status": "SUCCESS", "PhysicalResourceId": body["PhysicalResourceId"], "StackId": to.stack_id,
            "RequestId": to.request_id, "LogicalResourceId": to.logical_id, "Data": data,
        });
        let bytes = body.to_string().len();
        if bytes > MAX {
            head = format!("the attributes make an answer of {bytes} bytes; CloudFormation takes {MAX}");
            attributes = None;
        }
    }
    if let Some(attributes) = attributes {
        ensure!(body["Status"] == "SUCCESS", "it was done");
        ensure!(body["Data"] == json!(attributes), "not its attributes: {attributes:?}");
        return Ok(());
    }
    ensure!(body["Status"] == "FAILED", "it was not done");
    let reason = body["Reason"].as_str().unwrap_or_default();
    let id = body["PhysicalResourceId"].as_str().unwrap_or_default();
    let head: String = clean(&head).trim().chars().take(80).collect();
    ensure!(
        room(to, id) < 1000 || reason.starts_with(head.trim_end()),
        "its reason starts otherwise: {head}"
    );
    Ok(())
}

/// How the reason of a failure starts.
fn head(behaviour: &Behaviour) -> String {
    match behaviour {
        Behaviour::Fails(causes) => causes.join(": "),
        Behaviour::PanicsWithText(text) | Behaviour::ConstructionPanics(text) => {
            format!("the handler panicked: {text}")
        }
        Behaviour::PanicsWithANumber => "the handler panicked: (no message)".to_owned(),
        Behaviour::ItsTaskPanics { .. } => "joining the task: ".to_owned(),
        Behaviour::ConstructionFails(text) => format!("preparing the handler: {text}"),
        Behaviour::NeverEnds | Behaviour::ConstructionNeverEnds => {
            "the function's time is nearly over".to_owned()
        }
        Behaviour::DiesHard | Behaviour::Succeeds(_) => String::new(),
    }
}

fn clean(text: &str) -> String {
    let is_bad = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if is_bad(c) { ' ' } else { c }).collect()
}
