//! A template, read with CloudFormation's short tags, which become the long forms: `!Ref A` is `{"Ref": "A"}`, `!GetAtt
//! A.B` is `{"Fn::GetAtt": ["A", "B"]}`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

/// A resource's name and what the template says of it.
pub(crate) type Resource<'a> = (&'a str, &'a Value);

/// The templates that ship.
pub(crate) const TEMPLATES: [&str; 6] =
    ["handlers.yaml", "database.yaml", "db-init.yaml", "stream.yaml", "archive.yaml", "examples.yaml"];

pub(crate) struct Template(Value);

impl Template {
    /// Reads a template that ships.
    pub(crate) fn read(name: &str) -> Self {
        Self::parse(&source(&format!("cfn/{name}")))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut documents = YamlOwned::load_from_str(text).unwrap();
        assert_eq!(documents.len(), 1);
        Self(long(documents.remove(0)))
    }

    /// A section's entries; none if there is no such section.
    pub(crate) fn section(&self, name: &str) -> impl Iterator<Item = Resource<'_>> {
        let entries = self.0[name].as_object().into_iter().flatten();
        entries.map(|(name, value)| (name.as_str(), value))
    }

    /// Something of a section, by its name.
    pub(crate) fn get(&self, section: &str, name: &str) -> &Value {
        let found = self.0[section].get(name);
        found.unwrap_or_else(|| panic!("there is no {name} among the {section}"))
    }

    pub(crate) fn resource(&self, name: &str) -> &Value {
        self.get("Resources", name)
    }

    /// The resources whose type begins so. Never none: whoever asks has something to show of them.
    pub(crate) fn of_type(&self, prefix: &str) -> Vec<Resource<'_>> {
        let is = |it: &Resource<'_>| it.1["Type"].as_str().unwrap().starts_with(prefix);
        self.section("Resources").filter(is).collect()
    }

    /// The resources that this one waits for by `DependsOn`, directly or through others.
    pub(crate) fn waits_for(&self, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open = vec![self.resource(name)];
        while let Some(resource) = open.pop() {
            for next in list(&resource["DependsOn"]) {
                let next = next.as_str().unwrap();
                if found.insert(next) {
                    open.push(self.resource(next));
                }
            }
        }
        found
    }

    /// Every `Fn::GetAtt` and every `${A.B}` of `Fn::Sub`, wherever it stands: resource and attribute.
    pub(crate) fn attributes_taken(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        walk(&self.0, &mut |name, value| match name {
            "Fn::GetAtt" => {
                let part = |at: usize| value[at].as_str().unwrap().to_owned();
                found.insert((part(0), part(1)));
            }
            "Fn::Sub" => {
                let text = value.as_str().or_else(|| value[0].as_str()).unwrap();
                let names = text.split("${").skip(1).filter_map(|it| it.split('}').next());
                let dotted = names.filter_map(|name| name.split_once('.'));
                found.extend(dotted.map(|(of, attribute)| (of.to_owned(), attribute.to_owned())));
            }
            _ => {}
        });
        found
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }
}

/// A file of the repository.
pub(crate) fn source(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What may stand alone or in a list, as a list.
pub(crate) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

/// Shows every entry of every map below `value`.
pub(crate) fn walk<'a>(value: &'a Value, see: &mut impl FnMut(&'a str, &'a Value)) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                see(name, value);
                walk(value, see);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| walk(value, see)),
        _ => {}
    }
}

fn long(yaml: YamlOwned) -> Value {
    match yaml {
        YamlOwned::Value(scalar) => match scalar {
            ScalarOwned::Null => Value::Null,
            ScalarOwned::Boolean(value) => json!(value),
            ScalarOwned::Integer(value) => json!(value),
            ScalarOwned::FloatingPoint(value) => json!(value.into_inner()),
            ScalarOwned::String(text) => json!(text),
        },
        YamlOwned::Sequence(all) => all.into_iter().map(long).collect(),
        YamlOwned::Mapping(entries) => {
            let entry = |(name, value)| (text(&long(name)), long(value));
            Value::Object(entries.into_iter().map(entry).collect::<Map<_, _>>())
        }
        YamlOwned::Tagged(tag, inner) => {
            let inner = long(*inner);
            match tag.suffix.as_str() {
                name @ ("Ref" | "Condition") => json!({ name: inner }),
                "GetAtt" => json!({ "Fn::GetAtt": get_att(inner) }),
                name => json!({ format!("Fn::{name}"): inner }),
            }
        }
        other => panic!("nobody expected {other:?} in a template"),
    }
}

fn get_att(value: Value) -> Value {
    match value.as_str().and_then(|text| text.split_once('.')) {
        Some((of, attribute)) => json!([of, attribute]),
        None => value,
    }
}

/// A scalar as CloudFormation hands it to a custom resource: everything is a string.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn short_tags_become_long_forms() {
    let template = Template::parse(
        "Resources:\n  A:\n    Type: T\n    DependsOn: B\n    Properties: {P: !If [C, !Ref R, !GetAtt B.X.Y]}\n  \
         B: {Type: T, DependsOn: [C], Metadata: !Sub 'a ${D.Z}'}\n  C: {Type: U}\n",
    );
    let property = &template.resource("A")["Properties"]["P"];
    let long = json!({ "Fn::If": ["C", { "Ref": "R" }, { "Fn::GetAtt": ["B", "X.Y"] }] });
    assert_eq!(*property, long);
    assert_eq!(template.waits_for("A"), BTreeSet::from(["B", "C"]));
    let taken = template.attributes_taken();
    let taken: Vec<_> = taken.iter().map(|(of, it)| [of.as_str(), it]).collect();
    assert_eq!(taken, [["B", "X.Y"], ["D", "Z"]]);
}
