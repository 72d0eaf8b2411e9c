//! What a migration's text has to be before any of it is sent.
//!
//! The server divides a text into statements, and only the server knows how. This divides nothing: it skips what is quoted
//! and what is a comment, and looks for what every server refuses half-way, a statement with nothing in it.

/// Why a text is not a migration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAMigration {
    /// Only blanks, comments and semicolons.
    #[error("there is no statement in it")]
    Nothing,
    /// A semicolon that ends no statement. The server would run what comes before it, and fail there.
    #[error(
        "the semicolon in line {0} ends no statement, and the server would stop there, half-way: take it out"
    )]
    EmptyStatement(usize),
}

/// Refuses a text without a statement, or with an empty one. Semicolons at the very end are fine: the server ignores them.
pub(crate) fn check(sql: &str) -> Result<(), NotAMigration> {
    let sql = sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let (mut position, mut is_empty, mut empty) = (0, true, None);
    let mut has_statement = false;
    while let Some(c) = sql[position..].chars().next() {
        let rest = &sql[position..];
        if let Some(length) = comment(rest) {
            position += length;
            continue;
        }
        position += match c {
            '\'' | '"' | '`' => quoted(rest, c),
            c => c.len_utf8(),
        };
        match c {
            c if c.is_whitespace() => {}
            ';' => {
                empty = empty.or(is_empty.then_some(position));
                is_empty = true;
            }
            _ => (is_empty, has_statement) = (false, true),
        }
    }
    match empty {
        _ if !has_statement => Err(NotAMigration::Nothing),
        Some(position) => Err(NotAMigration::EmptyStatement(1 + sql[..position].matches('\n').count())),
        None => Ok(()),
    }
}

/// The length of the comment at the beginning of a text. What a server may run (`/*! … */`, MariaDB's `/*M! … */`) is none.
fn comment(text: &str) -> Option<usize> {
    let to = |end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
    // `--` begins a comment only where a blank or a control character follows.
    let dashes = text.strip_prefix("--").is_some_and(|rest| {
        let next = rest.chars().next();
        next.is_none_or(|c| c.is_whitespace() || c.is_control())
    });
    if dashes || text.starts_with('#') {
        Some(to("\n"))
    } else if let Some(inner) = text.strip_prefix("/*") {
        let is_run = inner.starts_with('!') || inner.starts_with("M!");
        (!is_run).then(|| inner.find("*/").map_or(text.len(), |at| at + 4))
    } else {
        None
    }
}

/// The length of what is quoted at the beginning of a text. A doubled quote ends nothing, nor does one behind a backslash,
/// unless names are quoted.
fn quoted(text: &str, quote: char) -> usize {
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        if c == '\\' && quote != '`' {
            rest.next();
        } else if c == quote && rest.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statements_of_all_kinds_are_fine() {
        for sql in [
            "CREATE TABLE t (a INT)",
            "CREATE TABLE t (a INT); CREATE TABLE u (a INT);;\n; ",
            "-- first\nSELECT 1; # and\nSELECT 2 /* then */; /* the end */",
            "INSERT INTO t VALUES (';;', \";\\\";;\", ';''; ;'); SELECT `;;`",
            "/*!40000 ALTER TABLE t ENABLE KEYS */; /*M! SELECT 1 */; SELECT 2--;;",
            "SELECT 'unended;;",
            "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",
        ] {
            assert_eq!(check(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn an_empty_statement_is_refused_with_its_line() {
        for (sql, line) in [
            ("CREATE TABLE t (a INT);; CREATE TABLE u (a INT)", 1),
            ("; SELECT 1", 1),
            ("SELECT 1;\n/* x\n */;\nSELECT 2", 3),
            ("SELECT ';\n'; -- ;\n ;SELECT 2;;SELECT 3", 3),
            ("SELECT `a\\`; ; SELECT 1", 1),
        ] {
            assert_eq!(check(sql), Err(NotAMigration::EmptyStatement(line)), "{sql}");
        }
    }

    #[test]
    fn a_text_without_a_statement_is_refused() {
        for sql in ["", " \n", ";;", "-- nothing", "/* ; */;\n# x"] {
            assert_eq!(check(sql), Err(NotAMigration::Nothing), "{sql}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(sql in "[a;'\"`/*!#\\\\ \n-]{0,40}|\\PC{0,40}") {
            let _ = check(&sql);
        }

        #[test]
        fn one_statement_after_another_is_never_refused(count in 1_usize..5, text in "[a;'\\\\ ]{0,10}") {
            let literal = format!("SELECT '{}'", text.replace('\\', "\\\\").replace('\'', "''"));
            prop_assert_eq!(check(&vec![literal; count].join("; ")), Ok(()));
        }
    }
}
