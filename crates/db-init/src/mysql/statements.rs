//! The statements of a migration, told apart and shown without their values.
//!
//! The server itself divides what it is sent; this only finds the words to say which one failed. A stored program whose
//! body is a bare IF or a loop, without BEGIN, is taken for several.

use std::iter::Peekable;
use std::str::Chars;

/// How much of a statement is shown, in characters.
const SHOWN: usize = 100;

/// Statements that a lost connection undoes, as long as nothing commits.
const UNDONE: [&str; 8] = ["DELETE", "DO", "INSERT", "REPLACE", "SELECT", "UPDATE", "VALUES", "WITH"];

/// Kinds of stored programs, in the bodies of which semicolons divide nothing.
const PROGRAMS: [&str; 5] = ["EVENT", "FUNCTION", "PACKAGE", "PROCEDURE", "TRIGGER"];

/// What an END that ends no BEGIN and no CASE is followed by.
const OTHER_ENDS: [&str; 4] = ["IF", "LOOP", "REPEAT", "WHILE"];

/// A statement, as it is shown: without comments, each value as an ellipsis.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Statement {
    text: String,
    words: Vec<String>,
}

impl Statement {
    /// The beginning of it.
    pub(crate) fn shown(&self) -> String {
        let mut shown: String = self.text.chars().take(SHOWN).collect();
        if shown.len() < self.text.len() {
            shown.push('…');
        }
        shown
    }

    /// Whether the server takes it back when the connection is lost before the end of the transaction.
    pub(crate) fn is_undone(&self) -> bool {
        UNDONE.contains(&self.verb())
    }

    fn verb(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    fn is_program(&self) -> bool {
        let kind = |word: &String| PROGRAMS.contains(&word.as_str());
        self.verb() == "CREATE" && self.words.iter().any(kind)
    }

    /// How many BEGINs and CASEs are open.
    fn depth(&self) -> usize {
        let mut depth = 0_usize;
        let mut words = self.words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let after_end = word == "END" && words.next_if(|next| OTHER_ENDS.contains(next)).is_some();
            match word {
                _ if after_end => {}
                "BEGIN" | "CASE" => depth += 1,
                "END" => {
                    words.next_if_eq(&"CASE");
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
        }
        depth
    }

    fn push(&mut self, text: &str) {
        let spaced = self.text.ends_with(' ') || self.text.is_empty();
        if text != " " || !spaced {
            self.text.push_str(text);
        }
    }
}

/// The statement at which the server stopped, and its number from 1 on, after this many results: of each, whether it had
/// rows. A CALL answers with any number of rows, and then with none. It is the last one if it seems to be beyond that: rows
/// were under way.
pub(crate) fn after<'a>(statements: &'a [Statement], results: &[bool]) -> Option<(usize, &'a Statement)> {
    let mut results = results.iter();
    for (index, statement) in statements.iter().enumerate() {
        let done =
            if statement.verb() == "CALL" { results.any(|rows| !rows) } else { results.next().is_some() };
        if !done {
            return Some((index + 1, statement));
        }
    }
    statements.last().map(|last| (statements.len(), last))
}

/// Divides a migration.
pub(crate) fn divide(sql: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut current = Statement::default();
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ';' if !current.is_program() || current.depth() == 0 => {
                statements.push(std::mem::take(&mut current));
            }
            '\'' | '"' => {
                skip_quoted(&mut rest, c, true);
                current.push("…");
            }
            '`' => {
                let name = skip_quoted(&mut rest, c, false);
                current.push(&format!("`{name}"));
            }
            '#' => skip_line(&mut rest),
            '-' if is_comment(&rest) => skip_line(&mut rest),
            '/' if rest.next_if_eq(&'*').is_some() => {
                skip_comment(&mut rest);
                current.push(" ");
            }
            c if is_word(c) => {
                let mut word = String::from(c);
                let number = c.is_ascii_digit();
                while let Some(next) = rest.next_if(|c| is_word(*c) || (number && *c == '.')) {
                    word.push(next);
                }
                if number {
                    current.push("…");
                } else {
                    current.push(&word);
                    current.words.push(word.to_uppercase());
                }
            }
            c if c.is_whitespace() => current.push(" "),
            c => current.push(c.encode_utf8(&mut [0; 4])),
        }
    }
    statements.push(current);
    statements.retain_mut(|statement| {
        statement.text = statement.text.trim_end().to_owned();
        !statement.text.is_empty()
    });
    statements
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// `--` begins a comment only where a space or a control character follows it.
fn is_comment(rest: &Peekable<Chars<'_>>) -> bool {
    let mut ahead = rest.clone();
    ahead.next() == Some('-') && ahead.next().is_none_or(|c| c.is_whitespace() || c.is_control())
}

fn skip_line(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| *c != '\n').is_some() {}
}

fn skip_comment(rest: &mut Peekable<Chars<'_>>) {
    while let Some(c) = rest.next() {
        if c == '*' && rest.next_if_eq(&'/').is_some() {
            break;
        }
    }
}

/// Skips to the end of what is quoted, where a doubled quote is no end; the text, with its last quote.
fn skip_quoted(rest: &mut Peekable<Chars<'_>>, quote: char, escapes: bool) -> String {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        text.push(c);
        if c == quote {
            match rest.next_if_eq(&quote) {
                Some(doubled) => text.push(doubled),
                None => break,
            }
        } else if c == '\\' && escapes {
            text.extend(rest.next());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(sql: &str) -> Vec<String> {
        divide(sql).iter().map(Statement::shown).collect()
    }

    #[test]
    fn statements_are_shown_without_values_and_comments() {
        let sql = "-- it's the first\nINSERT INTO `a``;b` VALUES ('x;''y\\'z', 12.5, 0xFF, -3); # the end;\n \
                   /* ; */ UPDATE t2 SET\n  n = \"ä;\" ;; DO 1--2";
        assert_eq!(
            shown(sql),
            ["INSERT INTO `a``;b` VALUES (…, …, …, -…)", "UPDATE t2 SET n = …", "DO …--…"]
        );
        assert!(shown(" ;-- nothing").is_empty());
    }

    #[test]
    fn a_long_statement_is_cut() {
        let long = format!("SELECT {}", "ä".repeat(200));
        let cut = &shown(&long)[0];
        assert_eq!(cut.chars().count(), SHOWN + 1);
        assert!(cut.ends_with("ä…"));
    }

    #[test]
    fn semicolons_in_a_stored_program_divide_nothing() {
        let program = "CREATE DEFINER = CURRENT_USER PROCEDURE p() BEGIN IF a THEN CASE b WHEN c THEN SELECT d; END CASE; END IF; \
                       WHILE e DO BEGIN END; END WHILE; SELECT CASE WHEN f THEN g END; END";
        let sql = format!("{program}; BEGIN; {program}; COMMIT");
        let verbs: Vec<_> = divide(&sql).iter().map(|it| it.verb().to_owned()).collect();
        assert_eq!(verbs, ["CREATE", "BEGIN", "CREATE", "COMMIT"]);
    }

    #[test]
    fn the_failing_statement_is_the_one_after_the_results() {
        let all = divide("CREATE TABLE a (b INT); SELECT 1; CALL p(); INSERT INTO a VALUES (1)");
        let number = |results: &[bool]| after(&all, results).map(|(number, _)| number);
        assert_eq!(number(&[]), Some(1));
        assert_eq!(number(&[false]), Some(2));
        assert_eq!(number(&[false, true]), Some(3));
        assert_eq!(number(&[false, true, true, true]), Some(3));
        assert_eq!(number(&[false, true, true, true, false]), Some(4));
        assert_eq!(number(&[false, true, false, false]), Some(4));
        assert_eq!(after(&[], &[]), None);
    }

    #[test]
    fn changes_of_rows_are_undone_and_changes_of_tables_are_not() {
        let undone = |sql: &str| divide(sql)[0].is_undone();
        assert!(undone("insert into t values (1)") && undone("WITH a AS (SELECT 1) SELECT 1"));
        assert!(!undone("ALTER TABLE t ADD b INT") && !undone("COMMIT") && !undone("CALL p()"));
    }

    proptest! {
        #[test]
        fn no_value_is_shown_whatever_it_is(value in ".*", quote in prop::sample::select(vec!['\'', '"'])) {
            let escaped = value.replace('\\', "\\\\").replace(quote, &format!("{quote}{quote}"));
            let sql = format!("INSERT INTO t VALUES ({quote}{escaped}{quote}); DO 1");
            prop_assert_eq!(shown(&sql), ["INSERT INTO t VALUES (…)", "DO …"]);
        }

        #[test]
        fn any_text_is_divided(sql in ".*") {
            for statement in shown(&sql) {
                prop_assert!(!statement.is_empty());
            }
        }
    }
}
