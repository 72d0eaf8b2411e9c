//! Statements that change tables, as far as a record tells of them.

/// What a statement does to a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TableChange {
    /// The control record's operation.
    pub(super) operation: &'static str,
    /// The table's schema.
    pub(super) schema: String,
    /// The table.
    pub(super) table: String,
}

/// Reads a statement from the log, made while `schema` was in use; none if it isn't about one table.
pub(super) fn table_change(schema: &str, sql: &str) -> Option<TableChange> {
    let sql = sql.trim_start();
    let words = sql.split_whitespace().map(str::to_uppercase).take(8);
    let words: Vec<String> = words.collect();
    let word = |place: usize| words.get(place).map(String::as_str).unwrap_or_default();
    let mut name_at = 2;
    let operation = match (word(0), word(1)) {
        ("CREATE", "TABLE") => "create-table",
        ("CREATE", "OR") if word(3) == "TABLE" => {
            name_at = 4;
            "create-table"
        }
        ("DROP", "TABLE") => "drop-table",
        ("ALTER", "TABLE") => "change-columns",
        ("TRUNCATE", "TABLE") => "truncate-table",
        ("RENAME", "TABLE") => "rename-table",
        _ => return None,
    };
    if word(name_at) == "IF" {
        name_at += if word(name_at + 1) == "NOT" { 3 } else { 2 };
    }
    let name = sql.split_whitespace().nth(name_at)?;
    let name = name.split(['(', ';', ',']).next()?.replace('`', "");
    let (schema, table) = match name.split_once('.') {
        Some((schema, table)) => (schema.to_owned(), table.to_owned()),
        None => (schema.to_owned(), name),
    };
    Some(TableChange { operation, schema, table })
}

#[cfg(test)]
mod tests {
    use super::table_change;

    #[test]
    fn statements_name_their_table_in_more_than_one_way() {
        for (sql, operation, schema, table) in [
            ("CREATE TABLE examples (id INT)", "create-table", "blog", "examples"),
            ("create table if not exists `shop`.`a`(id INT)", "create-table", "shop", "a"),
            ("CREATE OR REPLACE TABLE a(id INT)", "create-table", "blog", "a"),
            ("DROP TABLE IF EXISTS `a` /* generated */", "drop-table", "blog", "a"),
            ("ALTER TABLE a ADD b INT", "change-columns", "blog", "a"),
        ] {
            let change = table_change("blog", sql).unwrap();
            let said = (change.operation, change.schema.as_str(), change.table.as_str());
            assert_eq!(said, (operation, schema, table), "{sql}");
        }
        assert_eq!(table_change("blog", "CREATE USER a"), None);
    }
}
