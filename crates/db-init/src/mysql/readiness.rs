//! Whether a server can be a source of change data capture.

use std::collections::HashMap;

use crate::mysql::identifier::Identifier;

/// A server's global variables: name and value.
pub(crate) type Variables = HashMap<String, String>;

/// The variables that somebody asks for: [`check`], most of all.
pub(crate) const WANTED: [&str; 12] = [
    "version",
    "lower_case_table_names",
    "max_allowed_packet",
    "partial_revokes",
    "server_id",
    "log_bin",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_value_options",
    "binlog_transaction_compression",
    "read_only",
    "innodb_read_only",
];

/// The oldest servers that know all the statements that are sent here.
const OLDEST_MYSQL: (u32, u32) = (5, 7);
const OLDEST_MARIADB: (u32, u32) = (10, 4);

/// A server that is not ready for change data capture, and why.
#[derive(Debug, thiserror::Error)]
#[error("the server is not ready for change data capture: {}", .shortcomings.join("; "))]
pub(crate) struct NotReady {
    pub(crate) shortcomings: Vec<String>,
    /// Whether it may be ready by itself soon: it is read-only, and nothing else is wrong.
    pub(crate) may_pass: bool,
}

/// What the server tells of its binlog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Binlog {
    /// Its end: `file:position`.
    pub(crate) position: String,
    /// The databases that alone are in it, with commas between them; nothing for all.
    pub(crate) only: String,
    /// The databases that are left out, likewise.
    pub(crate) without: String,
}

/// Refuses a server that can't be the source of this database's changes.
pub(crate) fn check(
    variables: &Variables,
    binlog: Option<&Binlog>,
    database: &Identifier,
) -> Result<(), NotReady> {
    let mut shortcomings = shortcomings(variables);
    shortcomings.extend(binlog.and_then(|binlog| left_out(binlog, variables, database)));
    if shortcomings.is_empty() {
        return Ok(());
    }
    let may_pass = is_read_only(variables) && shortcomings.len() == 1;
    Err(NotReady { shortcomings, may_pass })
}

/// Says that the binlog leaves the database out, if it does: the server would log none of its changes.
fn left_out(binlog: &Binlog, variables: &Variables, database: &Identifier) -> Option<String> {
    let case = |name: &str| match variables.get("lower_case_table_names").map(String::as_str) {
        None | Some("0") => name.to_owned(),
        Some(_) => name.to_lowercase(),
    };
    let is_in = |list: &str| list.split(',').any(|name| case(name) == case(database.as_str()));
    let (option, how) = if !binlog.only.is_empty() && !is_in(&binlog.only) {
        ("binlog_do_db", "add the database to binlog_do_db, or take that option away")
    } else if is_in(&binlog.without) {
        ("binlog_ignore_db", "take the database out of binlog_ignore_db")
    } else {
        return None;
    };
    Some(format!(
        "{option} keeps the changes of database {database} out of the binlog: {how}, and restart the server"
    ))
}

/// Whether the server writes nothing.
pub(crate) fn is_read_only(variables: &Variables) -> bool {
    ["innodb_read_only", "read_only", "super_read_only"].iter().any(|name| is_on(variables, name))
}

fn is_on(variables: &Variables, name: &str) -> bool {
    variables.get(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("ON"))
}

/// Says everything that keeps a server from being a source, each with what to change; nothing if it is ready.
///
/// Global values count, not this session's: they are what DMS's session gets.
fn shortcomings(variables: &Variables) -> Vec<String> {
    let value = |name: &str| variables.get(name).map_or("unknown", String::as_str).to_uppercase();
    let on = |name: &str| is_on(variables, name);
    let mut found = Vec::new();

    found.extend(too_old(variables));
    if is_read_only(variables) {
        found.push(
            "the server is read-only (innodb_read_only or read_only is ON): connect to the writer, which is the \
             cluster's endpoint and not the reader endpoint"
                .to_owned(),
        );
    }
    if !on("log_bin") {
        found.push(format!(
            "log_bin is {}: set binlog_format=ROW in the DB cluster parameter group; if it is set already, reboot the \
             writer, since a static parameter takes effect at a reboot",
            value("log_bin")
        ));
    }
    if value("server_id") == "0" {
        found.push(
            "server_id is 0, and a server without a number serves no binlog: set server_id to another"
                .to_owned(),
        );
    }
    if value("binlog_format") != "ROW" {
        found.push(format!(
            "binlog_format is {}: set binlog_format=ROW in the DB cluster parameter group and reboot the writer",
            value("binlog_format")
        ));
    }
    if value("binlog_row_image") != "FULL" {
        found.push(format!(
            "binlog_row_image is {}: set binlog_row_image=FULL in the DB cluster parameter group",
            value("binlog_row_image")
        ));
    }
    // Servers before 8.0.3, and MariaDB, don't have it.
    if value("binlog_row_value_options").contains("PARTIAL_JSON") {
        found.push(
            "binlog_row_value_options is PARTIAL_JSON, which leaves parts of documents out of the row images: set \
             binlog_row_value_options to nothing in the DB cluster parameter group"
                .to_owned(),
        );
    }
    // Servers before 8.0.20, and MariaDB, don't have it.
    if on("binlog_transaction_compression") {
        found.push(
            "binlog_transaction_compression is ON, and DMS can't read compressed transactions: set \
             binlog_transaction_compression=0 in the DB cluster parameter group"
                .to_owned(),
        );
    }
    found
}

/// Whether the server is MariaDB.
pub(crate) fn is_mariadb(variables: &Variables) -> bool {
    variables.get("version").is_some_and(|it| it.contains("MariaDB"))
}

/// Says that the server is too old, if it is.
fn too_old(variables: &Variables) -> Option<String> {
    let version = variables.get("version")?;
    let (name, oldest) =
        if is_mariadb(variables) { ("MariaDB", OLDEST_MARIADB) } else { ("MySQL", OLDEST_MYSQL) };
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse::<u32>().ok();
    let found = (next()?, next()?);
    let (major, minor) = oldest;
    (found < oldest)
        .then(|| format!("the server is {name} {version}: upgrade the engine to {major}.{minor} or later"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Variables {
        [
            ("log_bin", "ON"),
            ("binlog_format", "ROW"),
            ("binlog_row_image", "FULL"),
            ("binlog_transaction_compression", "OFF"),
            ("read_only", "OFF"),
            ("innodb_read_only", "OFF"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn with(name: &str, value: &str) -> Vec<String> {
        let mut variables = ready();
        variables.insert(name.to_owned(), value.to_owned());
        shortcomings(&variables)
    }

    #[test]
    fn a_ready_server_has_no_shortcomings() {
        assert!(shortcomings(&ready()).is_empty());
    }

    #[test]
    fn a_server_that_knows_no_compression_is_ready() {
        let mut variables = ready();
        variables.remove("binlog_transaction_compression");
        assert!(shortcomings(&variables).is_empty());
    }

    #[test]
    fn each_shortcoming_names_the_parameter() {
        for (name, value, parameter) in [
            ("log_bin", "OFF", "binlog_format=ROW"),
            ("binlog_format", "MIXED", "binlog_format=ROW"),
            ("binlog_row_image", "MINIMAL", "binlog_row_image=FULL"),
            ("binlog_transaction_compression", "ON", "binlog_transaction_compression=0"),
            ("innodb_read_only", "ON", "writer"),
            ("read_only", "ON", "writer"),
            ("binlog_row_value_options", "PARTIAL_JSON", "binlog_row_value_options"),
            ("server_id", "0", "server_id"),
        ] {
            let found = with(name, value);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert!(found[0].contains(name), "{found:?}");
            assert!(found[0].contains(parameter), "{found:?}");
        }
    }

    #[test]
    fn log_bin_off_says_that_a_reboot_may_be_due() {
        assert!(with("log_bin", "OFF")[0].contains("reboot"));
    }

    #[test]
    fn servers_that_are_too_old_are_told_what_is_old_enough() {
        for ready in ["5.7.12", "8.0.39", "9.7.0-1", "10.11.19-MariaDB-0+deb12u1-log", "it"] {
            assert!(with("version", ready).is_empty(), "{ready}");
        }
        let old = with("version", "5.6.51-log");
        assert!(old[0].contains("MySQL 5.6.51-log: upgrade the engine to 5.7"), "{old:?}");
        let old = with("version", "10.3.39-MariaDB");
        assert!(old[0].contains("10.4 or later"), "{old:?}");
    }

    #[test]
    fn a_binlog_that_leaves_the_database_out_is_refused_by_the_options_name() {
        let told = |only: &str, without: &str, folds: &str| {
            let mut variables = ready();
            variables.insert("lower_case_table_names".to_owned(), folds.to_owned());
            let binlog = Binlog { only: only.to_owned(), without: without.to_owned(), ..Binlog::default() };
            let checked = check(&variables, Some(&binlog), &"Shop".parse().unwrap());
            checked.err().map(|it| it.to_string()).unwrap_or_default()
        };
        for (only, without, folds) in
            [("", "", "0"), ("a,Shop", "", "0"), ("", "a,b", "0"), ("", "shop", "0"), ("shop", "", "1")]
        {
            assert_eq!(told(only, without, folds), "", "{only} {without} {folds}");
        }
        for (only, folds) in [("other", "0"), ("shop", "0"), ("a,b", "1")] {
            assert!(told(only, "", folds).contains("binlog_do_db keeps"), "{only}");
        }
        for (without, folds) in [("a,Shop", "0"), ("shop", "1")] {
            assert!(told("", without, folds).contains("binlog_ignore_db keeps"), "{without}");
        }
    }

    #[test]
    fn only_a_server_that_is_read_only_and_nothing_else_may_be_ready_soon() {
        let may_pass = |change: &[(&str, &str)]| {
            let mut variables = ready();
            variables.extend(change.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            check(&variables, None, &"shop".parse().unwrap()).unwrap_err().may_pass
        };
        assert!(may_pass(&[("read_only", "ON")]) && may_pass(&[("innodb_read_only", "1")]));
        assert!(!may_pass(&[("log_bin", "OFF")]));
        assert!(!may_pass(&[("read_only", "ON"), ("log_bin", "OFF")]));
    }

    #[test]
    fn all_shortcomings_are_told_at_once() {
        assert_eq!(shortcomings(&Variables::new()).len(), 3);
    }
}
