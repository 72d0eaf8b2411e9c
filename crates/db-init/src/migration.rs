//! One step of a schema's history, from the property `Migrations` or from a file.

use std::fmt;
use std::str::FromStr;

use custom_resource::scalar;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use crate::mysql::statements::{self, NotAMigration};

/// One migration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Migration {
    /// Its place in the order.
    #[serde(deserialize_with = "scalar")]
    pub version: Version,
    /// What it is called in the history and in errors.
    #[serde(deserialize_with = "scalar")]
    pub name: Name,
    /// Its statements, divided by semicolons.
    #[serde(deserialize_with = "scalar")]
    pub sql: Sql,
}

impl Migration {
    /// Refuses a migration whose version isn't above the one before it.
    pub(crate) fn check_rise(&self, before: Option<Version>) -> Result<(), String> {
        match before {
            Some(Version(before)) if self.version.0 <= before => {
                Err(format!("{self} can't come after version {before}: versions have to rise"))
            }
            _ => Ok(()),
        }
    }
}

/// A migration's version: positive; a timestamp such as `20260131120000` will do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version(i64);

impl Version {
    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(version @ 1..) => Ok(Self(version)),
            _ => Err(format!("{text:?} is no whole number from 1 on")),
        }
    }
}

/// A migration's name: letters, digits and underscores.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if (1..=255).contains(&text.len()) && text.chars().all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is no name of 1 to 255 letters, digits and underscores"))
        }
    }
}

/// A migration's statements. `Debug` leaves them out, since they may hold values that are nobody else's business.
#[derive(Clone, Eq, PartialEq)]
pub struct Sql(String);

impl Sql {
    /// The statements, as they are sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The statements, as they are compared with what was applied: without differences of line ends, nor at the end.
    pub(crate) fn canonical(&self) -> String {
        self.0.replace("\r\n", "\n").trim_end().to_owned()
    }
}

impl FromStr for Sql {
    type Err = NotAMigration;

    fn from_str(text: &str) -> Result<Self, NotAMigration> {
        // Editors put a byte order mark there, and the server can't read it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        statements::check(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sql({} bytes)", self.0.len())
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}", self.version.0, self.name.0)
    }
}

/// Decodes a list of migrations, the versions of which have to rise. The refusal of one that doesn't has its path.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Migration>, D::Error> {
    deserializer.deserialize_seq(List)
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<Migration>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of migrations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Migration>, A::Error> {
        let mut migrations: Vec<Migration> = Vec::new();
        let before = |migrations: &[Migration]| migrations.last().map(|last| last.version);
        while let Some(next) = list.next_element_seed(After(before(&migrations)))? {
            migrations.push(next);
        }
        Ok(migrations)
    }
}

/// Decodes a migration that has to come after this version.
struct After(Option<Version>);

impl<'de> DeserializeSeed<'de> for After {
    type Value = Migration;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Migration, D::Error> {
        let migration = Migration::deserialize(deserializer)?;
        migration.check_rise(self.0).map_err(Error::custom)?;
        Ok(migration)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "list")]
        migrations: Vec<Migration>,
    }

    fn parse(list: &Value) -> Result<Vec<Migration>, String> {
        serde_path_to_error::deserialize(json!({ "migrations": list }))
            .map(|holder: Holder| holder.migrations)
            .map_err(|error| format!("{}: {}", error.path(), error.inner()))
    }

    fn migration(version: &Value, name: &str) -> Value {
        json!({ "Version": version, "Name": name, "Sql": "SELECT 1" })
    }

    #[test]
    fn rising_versions_are_taken_in_both_spellings() {
        let list = parse(&json!([
            migration(&json!("1"), "orders"),
            migration(&json!(3), "lines"),
            migration(&json!("20260131120000"), "payments")
        ]));
        let names: Vec<_> = list.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["V1__orders", "V3__lines", "V20260131120000__payments"]);
    }

    #[test]
    fn a_version_that_does_not_rise_is_refused_with_its_path() {
        for second in [json!("2"), json!("1")] {
            let error = parse(&json!([migration(&json!("2"), "a"), migration(&second, "b")]));
            let error = error.unwrap_err();
            assert!(
                error.starts_with("migrations[1]: V") && error.contains("versions have to rise"),
                "{error}"
            );
        }
    }

    #[test]
    fn versions_are_positive_numbers() {
        for version in [json!("0"), json!(-1), json!("one"), json!("1.5"), json!("")] {
            let error = parse(&json!([migration(&version, "a")])).unwrap_err();
            assert!(error.starts_with("migrations[0].Version: "), "{error}");
        }
    }

    #[test]
    fn names_are_words_and_statements_are_there() {
        for name in ["", "a b", "a-b", "it's"] {
            let error = parse(&json!([migration(&json!(1), name)])).unwrap_err();
            assert!(error.starts_with("migrations[0].Name: "), "{error}");
        }
        let error = parse(&json!([{ "Version": 1, "Name": "a", "Sql": " \n" }])).unwrap_err();
        assert_eq!(error, "migrations[0].Sql: there is no statement in it");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_migration() {
        assert_eq!("\u{feff}SELECT 1".parse::<Sql>().unwrap().as_str(), "SELECT 1");
    }

    #[test]
    fn an_empty_statement_is_refused_with_its_path() {
        let list =
            json!([{ "Version": 1, "Name": "a", "Sql": "CREATE TABLE t (a INT);; CREATE TABLE u (a INT)" }]);
        let error = parse(&list).unwrap_err();
        assert!(error.starts_with("migrations[0].Sql: the semicolon in line 1 ends no statement"), "{error}");
    }

    #[test]
    fn line_ends_make_no_other_migration() {
        let sql = |text: &str| text.parse::<Sql>().unwrap();
        for same in ["SELECT 1;\r\nSELECT 2", "SELECT 1;\nSELECT 2\n", "SELECT 1;\r\nSELECT 2\r\n \n"] {
            assert_eq!(sql(same).canonical(), "SELECT 1;\nSELECT 2");
        }
        assert_ne!(sql("SELECT 1; SELECT 2").canonical(), "SELECT 1;\nSELECT 2");
    }

    #[test]
    fn the_statements_are_not_shown() {
        let list = parse(&json!([{ "Version": 1, "Name": "a", "Sql": "SELECT 'hush'" }]));
        let shown = format!("{:?}", list.unwrap());
        assert!(!shown.contains("hush"), "{shown}");
    }
}
