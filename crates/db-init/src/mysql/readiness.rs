//! Whether a server can be a source of change data capture.

use std::collections::HashMap;

/// A server's global variables: name and value.
pub(crate) type Variables = HashMap<String, String>;

/// The variables that somebody asks for: [`shortcomings`], most of all.
pub(crate) const WANTED: [&str; 10] = [
    "version",
    "lower_case_table_names",
    "partial_revokes",
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
#[error("the server is not ready for change data capture: {}", .0.join("; "))]
pub(crate) struct NotReady(pub(crate) Vec<String>);

/// Says everything that keeps a server from being a source, each with what to change; nothing if it is ready.
///
/// Global values count, not this session's: they are what DMS's session gets.
pub(crate) fn shortcomings(variables: &Variables) -> Vec<String> {
    let value = |name: &str| variables.get(name).map_or("unknown", String::as_str).to_uppercase();
    let on = |name: &str| matches!(value(name).as_str(), "ON" | "1");
    let mut found = Vec::new();

    found.extend(too_old(variables));
    if on("innodb_read_only") || on("read_only") {
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
    fn all_shortcomings_are_told_at_once() {
        assert_eq!(shortcomings(&Variables::new()).len(), 3);
    }
}
