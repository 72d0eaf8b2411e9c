//! Whether what came of a case is what had to.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use stage::callback::SIGNATURE;

use super::callback::{Inbox, Put};
use super::case::Case;
use super::event::SECRET;
use super::expectation::{End, Expected, Sending, To, Work};
use super::handler::{Behaviour, Called, Calls};

/// The longest body that CloudFormation takes.
const MAX: usize = 4096;
const NOT_CREATED: &str = "-not-created";

/// What was seen of a case.
pub(crate) struct Seen {
    pub(crate) url: String,
    pub(crate) event: Value,
    /// What Lambda was told.
    pub(crate) result: anyhow::Result<()>,
    pub(crate) inbox: Inbox,
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
    let (inbox, calls) = (&seen.inbox, &seen.calls);
    is_discreet(&seen.log)?;
    if let Err(error) = &seen.result {
        is_discreet(&format!("{error:#} {error:?}"))?;
    }
    ensure!(inbox.accepted <= 1, "accepted {} times", inbox.accepted);
    ensure!(inbox.followed == 0, "a redirect was followed");
    ensure!(calls.constructed <= 1, "constructed twice");
    ensure!(calls.calls.len() <= 1, "called twice: {:?}", calls.calls);
    let called = |call: Called| match case.behaviour.can_be_constructed() {
        true => vec![call],
        false => vec![],
    };
    match Expected::of(case, &seen.event, &seen.url) {
        Expected::Nothing => {
            ensure!(inbox.puts.is_empty(), "nobody was to be answered");
            ensure!(calls.constructed == 0, "nothing was to be begun");
            ensure!(seen.result.is_ok(), "another delivery can't help: {:?}", seen.result);
            Ok(None)
        }
        Expected::Notice => {
            ensure!(inbox.puts.is_empty(), "nobody was to be answered");
            ensure!(calls.calls == called(Called::Notified), "{:?}", calls.calls);
            let is_well = attributes(&case.behaviour).is_some();
            ensure!(seen.result.is_ok() == is_well, "{:?}", seen.result);
            Ok(None)
        }
        Expected::Answer(to, work) => {
            let ids = [&to.stack_id, &to.request_id, &to.logical_id].map(String::clone);
            let made = made(&to, calls, seen)?;
            match work {
                Work::Called(kind) if !to.is_late => {
                    let id = made.clone().or_else(|| to.physical_id.clone());
                    let call = called(Called::For(kind, ids, id.unwrap_or_default()));
                    let unanswered = inbox.puts.is_empty() && to.physical_id.is_none();
                    ensure!(calls.calls == call || unanswered, "{:?}, not {call:?}", calls.calls);
                    ensure!(calls.constructed == 1, "the handler was not made");
                }
                Work::Called(_) => {}
                _ => ensure!(calls.constructed == 0, "{work:?}, and a handler was made"),
            }
            sending(case, &to, seen)?;
            for put in &inbox.puts {
                ensure!(put.body == inbox.puts[0].body, "two answers that differ");
                envelope(put, &to, seen).with_context(|| format!("in {put:?}"))?;
                outcome(case, put, &to, &work).with_context(|| format!("in {put:?}"))?;
            }
            Ok(made.map(|id| ([to.stack_id, to.logical_id], id)))
        }
    }
}

/// Where no id came: the one that was made, without the mark of a Create that made nothing.
fn made(to: &To, calls: &Calls, seen: &Seen) -> anyhow::Result<Option<String>> {
    let (Some(put), None) = (seen.inbox.puts.first(), &to.physical_id) else {
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
    let (inbox, sending) = (&seen.inbox, Sending::of(case));
    let said = format!("{} of {sending:?}; {:?}", inbox.puts.len(), seen.result);
    ensure!(inbox.puts.len() <= sending.attempts, "too many: {said}");
    if sending.end == End::Unreachable {
        ensure!(inbox.accepted == 0, "{said}");
        ensure!(seen.result.is_err() || to.is_late, "{said}");
    } else if sending.is_in_time && !to.is_late {
        ensure!(inbox.puts.len() == sending.attempts, "too few: {said}");
        let accepted = usize::from(sending.end == End::Accepted);
        ensure!(inbox.accepted == accepted, "{} accepted: {said}", inbox.accepted);
        let is_told = sending.end == End::Accepted;
        ensure!(seen.result.is_ok() == is_told, "what Lambda was told: {said}");
    }
    Ok(())
}

/// What CloudFormation and S3 demand of every answer.
fn envelope(put: &Put, to: &To, seen: &Seen) -> anyhow::Result<()> {
    ensure!(put.method == "PUT", "the method");
    ensure!(seen.url.ends_with(&put.path_and_query), "not what was signed: {}", seen.url);
    ensure!(put.path_and_query.len() > seen.url.len() - 24, "not all that was signed");
    ensure!(put.content_length == Some(put.body.len().to_string()), "its length");
    ensure!(put.unwanted.is_empty(), "its headers");
    let text = str::from_utf8(&put.body)?;
    is_discreet(text)?;
    let body: Value = serde_json::from_str(text)?;
    ensure!(body["StackId"] == to.stack_id, "the stack's id");
    ensure!(body["RequestId"] == to.request_id, "the request's id");
    ensure!(body["LogicalResourceId"] == to.logical_id, "the logical id");
    let id = body["PhysicalResourceId"].as_str().context("no id")?;
    match &to.physical_id {
        Some(came) => ensure!(id == came, "the id that came"),
        None => ensure!((1..=1024).contains(&id.len()), "{} bytes of id", id.len()),
    }
    let room = room(to, id);
    ensure!(room < 0 || text.len() <= MAX, "{} bytes, room for {room}", text.len());
    match (body["Status"].as_str(), body.get("Reason")) {
        (Some("SUCCESS"), None) => ensure!(body["Data"].is_object(), "no attributes"),
        (Some("FAILED"), Some(Value::String(reason))) => {
            ensure!(!reason.trim().is_empty(), "an empty reason");
            ensure!(!reason.contains(char::is_control), "a control character");
            ensure!(room < 1000 || reason.ends_with("Lambda request lambda-1)"), "no place");
        }
        _ => anyhow::bail!("neither a success nor a failure with its reason"),
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
    let head: String = clean(&head).trim().chars().take(40).collect();
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
