//! What Sluice assumes of AWS: one list, from which `docs/assumptions.md` is written, and whose ids templates, code and
//! programs name where an assumption matters.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::document::{Template, list, root, source};
use super::documentation::is_written;

const LIST: &str = "cfn/operate/assumptions.yaml";

const HEAD: &str = "\
# Assumptions about AWS

<!-- Written by `SLUICE_WRITE_DOCS=1 cargo test --package plays --test template`, from cfn/operate/assumptions.yaml. -->

Sluice was written without an AWS account to try it in. What follows was read in AWS's documents, schemas and API models
or in other people's reports, or was concluded; nobody has seen all of it in an account. Each assumption has an id, which
templates and code name where it matters. For each: what is assumed, where that is from, what Sluice does so that it stays
right, and what you would see if the assumption is wrong.

\"Loud\" means that a deployment fails with a reason or an alarm rings, and nothing is lost. \"Silent\" means that somebody has
to look. \"Concluded\" means that nobody says it.
";

/// A field of an entry. None is empty, and only `more` may be missing.
fn field<'a>(entry: &'a Value, name: &str) -> &'a str {
    let field = entry[name].as_str().unwrap_or_else(|| panic!("no {name}: {entry}"));
    assert!(!field.is_empty() && field.trim() == field, "{name}: {entry}");
    field
}

fn ids(entries: &Value) -> BTreeSet<&str> {
    list(entries).into_iter().map(|entry| field(entry, "id")).collect()
}

#[test]
fn every_assumption_is_in_the_docs_by_its_id() {
    let entries = Template::parse(&source(LIST));
    let (mut page, mut areas) = (HEAD.to_owned(), Vec::new());
    for entry in list(entries.value()) {
        let [id, area, assumed, source, code, wrong] =
            ["id", "area", "assumed", "source", "code", "wrong"].map(|name| field(entry, name));
        let is_id = id.split('-').all(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        });
        assert!(is_id, "{id}");
        if areas.last() != Some(&area) {
            assert!(!areas.contains(&area), "{id} is apart from the others of {area}");
            areas.push(area);
            write!(page, "\n## {area}\n").unwrap();
        }
        let more = entry.get("more").map_or_else(String::new, |_| format!(" {}", field(entry, "more")));
        let fields = entry.as_object().unwrap().len();
        assert_eq!(fields, if more.is_empty() { 6 } else { 7 }, "{id} has a field that no page shows");
        write!(
            page,
            "\n### {id}\n\n**{assumed}**{more}\n\n- Source: {source}.\n- Code: {code}\n- If wrong: {wrong}\n"
        )
        .unwrap();
    }
    assert_eq!(ids(entries.value()).len(), list(entries.value()).len(), "two have the same id");
    is_written("docs/assumptions.md", &page);
}

/// The files below a folder that may name an assumption: what ships, and not its tests.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !["tests", "node_modules", "cdk.out"].contains(&&*name) {
            found.extend(files(&path));
        } else if path != root().join(LIST)
            && [".rs", ".yaml", ".py", ".ts"].iter().any(|it| name.ends_with(it))
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_assumption_is_named_where_it_matters_and_every_name_is_one() {
    let entries = Template::parse(&source(LIST));
    let known = ids(entries.value());
    let mut named = BTreeSet::new();
    for file in ["crates", "cfn", "release"].iter().flat_map(|folder| files(&root().join(folder))) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (at, word) in text.match_indices("assumption:") {
            let id = text[at + word.len()..].split(')').next().unwrap().strip_prefix(' ');
            let id = id.filter(|_| text[..at].ends_with('('));
            let known = id.and_then(|id| known.get(id));
            let known = known.unwrap_or_else(|| panic!("{}: not (assumption: <id>): {id:?}", file.display()));
            named.insert(*known);
        }
    }
    let unnamed: Vec<_> = known.difference(&named).collect();
    assert!(unnamed.is_empty(), "no template, code or program names {unnamed:?}");
}
