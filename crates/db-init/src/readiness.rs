//! Whether a server can be a source of change data capture.

use std::collections::HashMap;

/// A server's global variables: name and value.
pub(crate) type Variables = HashMap<String, String>;

/// The variables that [`shortcomings`] looks at.
pub(crate) const WANTED: [&str; 6] = [
    "log_bin",
    "binlog_format",
    "binlog_row_image",
    "binlog_transaction_compression",
    "read_only",
    "innodb_read_only",
];

/// Says everything that keeps a server from being a source, each with what to change; nothing if it is ready.
///
/// Global values count, not this session's: they are what DMS's session gets.
pub(crate) fn shortcomings(variables: &Variables) -> Vec<String> {
    let value = |name: &str| {
        variables
            .get(name)
            .map_or("unknown", String::as_str)
            .to_uppercase()
    };
    let on = |name: &str| matches!(value(name).as_str(), "ON" | "1");
    let mut found = Vec::new();

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
    // Servers before 8.0.20 don't have it.
    if on("binlog_transaction_compression") {
        found.push(
            "binlog_transaction_compression is ON, and DMS can't read compressed transactions: set \
             binlog_transaction_compression=0 in the DB cluster parameter group"
                .to_owned(),
        );
    }
    found
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
            (
                "binlog_transaction_compression",
                "ON",
                "binlog_transaction_compression=0",
            ),
            ("innodb_read_only", "ON", "writer"),
            ("read_only", "ON", "writer"),
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
    fn all_shortcomings_are_told_at_once() {
        assert_eq!(shortcomings(&Variables::new()).len(), 3);
    }
}
