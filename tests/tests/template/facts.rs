//! Facts of a single place each: the files in `facts` hold what has to stand in the template of the same name, in its own
//! form.

use serde_json::Value;

use super::document::{TEMPLATES, Template, source};

/// What stands for an entry that must not be there.
const NONE: &str = "(none)";

/// Stands in a map that may have no other entries.
const ONLY: &str = "(only)";

/// Where `found` lacks something of `wanted`, or has it otherwise.
fn differences(place: &str, wanted: &Value, found: Option<&Value>, see: &mut Vec<String>) {
    match (wanted, found) {
        (Value::String(none), found) if none == NONE => {
            see.extend(found.map(|found| format!("{place} is there: {found}")));
        }
        (Value::Object(wanted), Some(Value::Object(found))) => {
            if wanted.contains_key(ONLY) {
                let more = found.keys().filter(|name| !wanted.contains_key(*name));
                see.extend(more.map(|name| format!("{place}.{name} is there")));
            }
            for (name, wanted) in wanted.iter().filter(|(name, _)| *name != ONLY) {
                differences(&format!("{place}.{name}"), wanted, found.get(name), see);
            }
        }
        (Value::Array(wanted), Some(Value::Array(found))) if wanted.len() == found.len() => {
            for (at, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                differences(&format!("{place}[{at}]"), wanted, Some(found), see);
            }
        }
        (wanted, Some(found)) if wanted == found => {}
        (wanted, Some(found)) => see.push(format!("{place} is {found}, not {wanted}")),
        (wanted, None) => see.push(format!("{place} is not there: {wanted}")),
    }
}

#[test]
fn what_has_to_stand_in_the_templates_stands_there() {
    let mut see = Vec::new();
    for name in TEMPLATES {
        let wanted = Template::parse(&source(&format!("tests/tests/template/facts/{name}")));
        differences(name, wanted.value(), Some(Template::read(name).value()), &mut see);
    }
    assert!(see.is_empty(), "{}", see.join("\n"));
}

#[test]
fn whatever_differs_is_named_with_its_place() {
    let wanted = Template::parse("A: {B: 1, C: [{D: x}, 2], E: (none), F: y, G: {(only): , H: 1}}");
    let right = Template::parse("A: {B: 1, C: [{D: x, G: z}, 2], F: y, G: {H: 1}}");
    let wrong = Template::parse("A: {B: 2, C: [{D: x}], E: 3, G: {H: 1, I: 2}}");
    let differ = |found: &Template| {
        let mut see = Vec::new();
        differences("it", wanted.value(), Some(found.value()), &mut see);
        see
    };
    assert_eq!(differ(&right), Vec::<String>::new());
    let see = differ(&wrong);
    for (place, said) in
        ["it.A.B is 2", "it.A.C is [", "it.A.E is there", "it.A.F is not there", "it.A.G.I is there"]
            .iter()
            .zip(&see)
    {
        assert!(said.starts_with(place), "{see:?}");
    }
    assert_eq!(see.len(), 5);
}
