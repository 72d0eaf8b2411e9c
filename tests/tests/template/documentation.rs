//! What the documentation says of the templates: `docs/templates.md` is written from them.

use std::fmt::Write;

use serde_json::Value;

use super::document::{Resource, TEMPLATES, Template, list, root, source, text};

const EXAMPLE: &str = "cfn/examples/own-template.yaml";

const HEAD: &str = "\
# Parameters and outputs

<!-- Written by `SLUICE_WRITE_DOCS=1 cargo test --package plays --test template`. -->

Every parameter and output of the templates, in the templates' own words. A parameter without a default has to be given.
`make deploy` gives some of them: `DeploymentId`, `Architecture`, `DatabaseName` and `SslCa` from its variables, and those
that an output's description names.
";

/// A cell of a table. What stands in code loses its bar to nobody.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|")
}

fn code(value: &Value) -> String {
    match text(value).as_str() {
        "" => "empty".to_owned(),
        value => format!("`{value}`"),
    }
}

/// What a parameter takes, where its description leaves it open.
fn takes(parameter: &Value) -> String {
    let allowed = list(&parameter["AllowedValues"]);
    let is_switch = allowed.iter().any(|it| *it == "true" || *it == "false");
    if is_switch || allowed.is_empty() {
        let said = parameter["ConstraintDescription"].as_str();
        return said.map_or_else(String::new, |said| format!(" Takes {said}."));
    }
    let all: Vec<String> = allowed.into_iter().map(code).collect();
    format!(" One of {}.", all.join(", "))
}

fn parameter_row((name, parameter): Resource<'_>) -> String {
    let default = parameter.get("Default");
    let default = default.map_or_else(|| "**required**".to_owned(), code);
    let said = parameter["Description"].as_str().unwrap();
    let said = cell(&format!("{}{}", said.trim(), takes(parameter)));
    format!("| `{name}` | {default} | {said} |\n")
}

/// A template's parameters, in the groups in which the console shows them, and its outputs.
fn chapter(name: &str) -> String {
    let template = Template::read(name);
    let said = template.value()["Description"].as_str().unwrap();
    let mut page = format!("\n## cfn/{name}\n\n{}\n", said.trim());
    let groups = &template.get("Metadata", "AWS::CloudFormation::Interface")["ParameterGroups"];
    let mut shown = 0;
    for group in list(groups) {
        let label = group["Label"]["default"].as_str().unwrap();
        page += &format!("\n### {label}\n\n| parameter | default | |\n|---|---|---|\n");
        for parameter in list(&group["Parameters"]) {
            let parameter = parameter.as_str().unwrap();
            page += &parameter_row((parameter, template.get("Parameters", parameter)));
            shown += 1;
        }
    }
    let all = template.section("Parameters").count();
    assert_eq!(shown, all, "{name}: a parameter is in no group, or in two");
    page += "\n### Outputs\n\n| output | |\n|---|---|\n";
    for (output, it) in template.section("Outputs") {
        let said = cell(it["Description"].as_str().unwrap());
        writeln!(page, "| `{output}` | {said} |").unwrap();
    }
    page
}

#[test]
fn every_parameter_and_output_is_in_the_docs() {
    let page: String = TEMPLATES.map(chapter).concat();
    is_written("docs/templates.md", &format!("{HEAD}{page}"));
}

/// Checks a page that is written from something else, or writes it where that is asked for.
pub(super) fn is_written(name: &str, page: &str) {
    if std::env::var_os("SLUICE_WRITE_DOCS").is_some() {
        std::fs::write(root().join(name), page).unwrap();
    }
    assert!(source(name) == page, "{name} is out of date; SLUICE_WRITE_DOCS=1 writes it anew:\n{page}");
}

#[test]
fn what_the_docs_name_of_the_templates_is_there() {
    let templates = TEMPLATES.map(Template::read);
    let sections = ["Parameters", "Resources", "Outputs"];
    let is_there = |name: &str| {
        let mut all = templates.iter().flat_map(|it| sections.map(|of| (it, of)));
        all.any(|(it, of)| it.section(of).any(|(there, _)| there == name))
    };
    // The example's, properties of DbInit, and an attribute.
    let others = ["OrdersTask", "ReplicationUserSecretArn", "SecretArn", "Arn"];
    let mut seen = 0;
    for page in [
        "README.md",
        "docs/own-database.md",
        "docs/own-template.md",
        "docs/permissions.md",
        "docs/troubleshooting.md",
    ] {
        for name in source(page).split('`').skip(1).step_by(2) {
            let is_name = ["Role", "Function", "Alarm", "LogGroup", "Arn", "Task", "Rule"]
                .iter()
                .any(|end| name.ends_with(end));
            let is_word = name.chars().all(char::is_alphanumeric) && name.starts_with(char::is_uppercase);
            if is_name && is_word && !others.contains(&name) {
                assert!(is_there(name), "{page} names {name}, which is in no template");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn every_variable_that_the_programs_take_is_in_the_readme() {
    let makefile = source("Makefile");
    let exported =
        makefile.lines().filter_map(|it| it.strip_prefix("export ").filter(|it| !it.contains('=')));
    let (readme, mut seen) = (source("README.md"), 0);
    let given =
        exported.flat_map(|it| it.split(' ')).filter(|it| !["PACKAGED", "SEED", "ROUNDS"].contains(it));
    for name in given {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
        assert!(makefile.contains(&format!("#   {name} ")), "{name}");
        seen += 1;
    }
    assert!(seen > 5);
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let pages = std::fs::read_dir(root().join("docs")).unwrap();
    let pages = pages.map(|it| format!("docs/{}", it.unwrap().file_name().to_string_lossy()));
    let pages = pages.filter(|it| it.ends_with(".md"));
    let mut seen = 0;
    for page in pages.chain(["README.md".to_owned()]) {
        let text = source(&page);
        let folder = page.strip_suffix(page.rsplit('/').next().unwrap()).unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { page.clone() } else { format!("{folder}{file}") };
            assert!(root().join(&file).exists(), "{page} links to {link}");
            let is_anchor = |line: &str| line.starts_with('#') && slug(line) == anchor;
            let found = anchor.is_empty() || source(&file).lines().any(is_anchor);
            assert!(found, "{page} links to {link}, and there is no such heading");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

/// A heading's anchor, as GitHub makes it.
fn slug(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn the_example_is_wired_as_the_stream_is_in_twenty_lines() {
    let text = source(EXAMPLE);
    let example = Template::parse(&text);
    for (name, _) in example.of_type("AWS::DMS::") {
        assert!(example.waits_for(name).contains("DmsPre"), "{name}");
    }
    for (name, _) in example.of_type("AWS::DMS::ReplicationTask") {
        assert!(example.waits_for("DmsPost").contains(name), "{name}");
    }
    let (_, added) = text.split_once("# ---- Sluice's (2) ----").unwrap();
    let (added, _) = added.split_once("# ----").unwrap();
    let in_blocks = added.lines().filter(|line| !line.trim().is_empty()).count();
    let waiting = text.lines().filter(|line| *line == "    DependsOn: DmsPre").count();
    let parameter = text.lines().filter(|line| line.starts_with("  DeploymentId:")).count();
    let lines = in_blocks + waiting + parameter;
    assert!((12..=20).contains(&lines), "{in_blocks} + {waiting} + {parameter}");
}
