//! Names of databases.

use std::fmt;
use std::str::FromStr;

/// The longest name, in characters, that MySQL takes.
pub(crate) const MAX_CHARS: usize = 64;

/// The databases that belong to the server; their names are not case-sensitive.
const SYSTEM: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// The name of a database, of any spelling that MySQL allows between backticks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identifier(String);

impl Identifier {
    /// The name as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name between backticks, as SQL wants it.
    pub fn quoted(&self) -> String {
        quoted(&self.0)
    }
}

/// Any name between backticks. No mode of the server changes what they mean.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not the name of a database.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidIdentifier {
    /// Nothing is there.
    #[error("the name of a database can't be empty")]
    Empty,
    /// More than 64 characters.
    #[error("the name of a database has at most 64 characters, this one has {0}")]
    TooLong(usize),
    /// Characters that MySQL refuses even between quotes.
    #[error("the name of a database can't hold NUL or characters beyond U+FFFF")]
    Character,
    /// MySQL refuses names that end so.
    #[error("the name of a database can't end with a space")]
    TrailingSpace,
    /// One of the server's own.
    #[error("this database belongs to the server")]
    System,
}

impl FromStr for Identifier {
    type Err = InvalidIdentifier;

    fn from_str(name: &str) -> Result<Self, InvalidIdentifier> {
        let chars = name.chars().count();
        if chars == 0 {
            Err(InvalidIdentifier::Empty)
        } else if chars > MAX_CHARS {
            Err(InvalidIdentifier::TooLong(chars))
        } else if name.chars().any(|c| c == '\0' || c > '\u{ffff}') {
            Err(InvalidIdentifier::Character)
        } else if name.ends_with(' ') {
            Err(InvalidIdentifier::TrailingSpace)
        } else if SYSTEM.iter().any(|system| name.eq_ignore_ascii_case(system)) {
            Err(InvalidIdentifier::System)
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_up_to_64_characters_are_taken_whatever_they_spell() {
        let longest = "ü".repeat(64);
        for name in ["orders", "select", "a-b", "a`b", "1", longest.as_str()] {
            assert_eq!(name.parse::<Identifier>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_mysql_refuses_are_refused_with_the_reason() {
        let refused = |name: &str| name.parse::<Identifier>().unwrap_err();
        assert_eq!(refused(""), InvalidIdentifier::Empty);
        assert_eq!(refused(&"ü".repeat(65)), InvalidIdentifier::TooLong(65));
        assert_eq!(refused("a\0b"), InvalidIdentifier::Character);
        assert_eq!(refused("🦀"), InvalidIdentifier::Character);
        assert_eq!(refused("orders "), InvalidIdentifier::TrailingSpace);
        assert_eq!(refused("MySQL"), InvalidIdentifier::System);
    }

    #[test]
    fn quoting_doubles_backticks() {
        let name: Identifier = "a`; DROP DATABASE b".parse().unwrap();
        assert_eq!(name.quoted(), "`a``; DROP DATABASE b`");
    }
}
