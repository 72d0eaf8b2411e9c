//! Kinds of source databases: for each that can be asked for, DMS gets its settings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::document::{Template, list, text};

/// The settings of a family of engines, by DMS's names.
const SETTINGS: [(&str, &str); 8] = [
    ("mysql", "MySqlSettings"),
    ("postgresql", "PostgreSqlSettings"),
    ("sqlserver", "MicrosoftSqlServerSettings"),
    ("oracle", "OracleSettings"),
    ("db2", "IbmDb2Settings"),
    ("sybase", "SybaseSettings"),
    ("mongodb", "MongoDbSettings"),
    ("docdb", "DocDbSettings"),
];

/// The engines of a rule's condition.
fn engines(rule: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    super::document::walk(rule, &mut |function, value| {
        if function == "Fn::Contains" {
            found.extend(list(&value[0]).into_iter().map(text));
        }
    });
    found
}

#[test]
fn every_engine_has_a_family_and_ways_to_use_tls() {
    let stream = Template::read("stream.yaml");
    let allowed = list(&stream.get("Parameters", "SourceEngineName")["AllowedValues"]);
    let allowed: BTreeSet<_> = allowed.into_iter().map(text).collect();
    let known = stream.get("Mappings", "SourceEngines").as_object().unwrap();
    assert_eq!(known.keys().cloned().collect::<BTreeSet<_>>(), allowed);
    for (engine, said) in known {
        let family = said["Family"].as_str().unwrap();
        assert!(SETTINGS.iter().any(|it| it.0 == family), "{engine}");
        let verified = said["Verified"].as_str().unwrap();
        assert!(verified.starts_with("verify-"), "{engine}");
    }
}

#[test]
fn the_endpoint_of_each_family_reads_the_secret_and_no_other_settings_are_given() {
    let stream = Template::read("stream.yaml");
    let endpoint = &stream.resource("SourceEndpoint")["Properties"];
    let given = endpoint.as_object().unwrap().iter();
    let given: BTreeMap<_, _> = given.filter(|(name, _)| name.ends_with("Settings")).collect();
    assert_eq!(given.len(), SETTINGS.len());
    for (family, name) in SETTINGS {
        let [condition, settings, otherwise] =
            given[&name.to_owned()]["Fn::If"].as_array().unwrap().as_slice()
        else {
            panic!("{name}");
        };
        let by_family =
            json!({ "Fn::FindInMap": ["SourceEngines", { "Ref": "SourceEngineName" }, "Family"] });
        assert_eq!(
            *stream.get("Conditions", condition.as_str().unwrap()),
            json!({ "Fn::Equals": [by_family, family] })
        );
        assert_eq!(settings["SecretsManagerSecretId"], json!({ "Ref": "SourceSecretArn" }));
        assert_eq!(
            settings["SecretsManagerAccessRoleArn"],
            json!({ "Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${SourceSecretRole}" })
        );
        for secret in ["Username", "Password", "ServerName"] {
            assert_eq!(settings.get(secret), None, "{name}");
        }
        assert_eq!(*otherwise, json!({ "Ref": "AWS::NoValue" }));
    }
}

#[test]
fn a_database_is_named_for_every_engine_but_mysql_and_its_kin() {
    let stream = Template::read("stream.yaml");
    let known = stream.get("Mappings", "SourceEngines").as_object().unwrap();
    let of = |families: &[&str]| -> BTreeSet<String> {
        let is = |it: &(&String, &Value)| families.contains(&it.1["Family"].as_str().unwrap());
        known.iter().filter(is).map(|(engine, _)| engine.clone()).collect()
    };
    for rule in ["NoDatabaseNameForMySql", "DatabaseNameForOthers"] {
        assert_eq!(engines(stream.get("Rules", rule)), of(&["mysql"]), "{rule}");
    }
    let documents = stream.get("Rules", "NoBeforeImagesOfDocuments");
    assert_eq!(engines(documents), of(&["mongodb", "docdb"]));
}
