//! What can go wrong between here and the server, in words that say it once.

use std::io;
use std::time::Duration;

use mysql_async::{DriverError, Error, IoError};

use super::plain;

/// Server errors that pass by themselves: too many connections (also of one user), a server that shuts down or isn't up,
/// a connection that another session killed.
const PASSING: [u16; 6] = [1040, 1203, 1053, 3168, 1927, 4031];

/// Those of them by which a session ends that was at work.
const LOSSES: [u16; 4] = [1053, 3168, 1927, 4031];

/// No such database, no such table, no such procedure, no right to call it, a statement the server doesn't know.
const NO_DATABASE: u16 = 1049;
const NO_TABLE: u16 = 1146;
const NO_PROCEDURE: u16 = 1305;
const NO_EXECUTE: u16 = 1370;
const SYNTAX: u16 = 1064;
const ACCESS_DENIED: u16 = 1045;
const NO_PLAIN: u16 = 3159;

/// Errors whose message quotes data or a statement: what a key has already, what can't be converted, what can't be parsed.
const QUOTING: [u16; 9] = [1062, SYNTAX, 1292, 1366, 1367, 1411, 1525, 1586, 3140];

/// Why the server didn't do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server's own word.
    #[error("{message} (MySQL error {code}){}", hint(*.code))]
    Server { code: u16, message: String },
    /// The way there is broken, or isn't there yet.
    #[error("{0}")]
    Network(String),
    /// Nobody answered.
    #[error("no answer within {} s: do the route and the security groups let the function in?", .0.as_secs())]
    Silence(Duration),
    /// TLS could not be agreed on.
    #[error("{0}")]
    Tls(String),
    /// Anything else that the driver says.
    #[error("{0}")]
    Driver(String),
}

impl Failure {
    /// Whether it is worth trying again.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Server { code, .. } => PASSING.contains(code),
            Self::Network(_) | Self::Silence(_) => true,
            Self::Tls(_) | Self::Driver(_) => false,
        }
    }

    fn has_code(&self, codes: &[u16]) -> bool {
        matches!(self, Self::Server { code, .. } if codes.contains(code))
    }

    /// Whether a table, or the database it would be in, isn't there.
    pub(crate) fn is_missing_table(&self) -> bool {
        self.has_code(&[NO_DATABASE, NO_TABLE])
    }

    /// Whether it is for want of TLS that nobody was let in.
    pub(crate) fn wants_tls(&self) -> bool {
        self.has_code(&[NO_PLAIN, plain::REFUSED])
    }

    /// The same, for a statement that holds a password: a complaint about its syntax would quote it.
    pub(crate) fn speechless(self) -> Self {
        match self {
            Self::Server { code: SYNTAX, .. } => Self::Server {
                code: SYNTAX,
                message: "the server doesn't understand the statement".to_owned(),
            },
            other => other,
        }
    }

    /// Whether the connection is gone, or the server is about to go.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self, Self::Network(_)) || self.has_code(&LOSSES)
    }

    /// Whether the server doesn't know the statement.
    pub(crate) fn is_unknown_statement(&self) -> bool {
        self.has_code(&[SYNTAX])
    }
}

fn hint(code: u16) -> &'static str {
    match code {
        ACCESS_DENIED => ": the server takes neither this user nor this password",
        NO_PROCEDURE | NO_EXECUTE => {
            ": the binlog retention is set by a procedure that Amazon RDS and Aurora have for their master user"
        }
        NO_PLAIN | plain::REFUSED => ": SslMode has to be REQUIRED, VERIFY_CA or VERIFY_IDENTITY",
        _ => "",
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::Server(error) => {
                Self::Server { code: error.code, message: without_values(error.code, &error.message) }
            }
            Error::Io(IoError::Tls(error)) => Self::Tls(tls(&error.to_string())),
            // The TLS library's refusals arrive as invalid data.
            Error::Io(IoError::Io(error))
                if error.kind() == io::ErrorKind::InvalidData && !is_shutdown(error) =>
            {
                Self::Tls(tls(&error.to_string()))
            }
            Error::Io(IoError::Io(error)) => Self::Network(error.to_string()),
            Error::Driver(error @ DriverError::ConnectionClosed) => Self::Network(error.to_string()),
            Error::Driver(DriverError::NoClientSslFlagFromServer) => {
                Self::Tls("the server offers no TLS (SslMode DISABLED does without)".to_owned())
            }
            Error::Driver(error) => Self::Driver(error.to_string()),
            error => Self::Driver(error.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

/// A message without the values in it, which belong into no log: `'…'` in their place. Of a statement, the word at which
/// the server stopped reading stays.
fn without_values(code: u16, message: &str) -> String {
    let first = message.find('\'').filter(|_| QUOTING.contains(&code));
    // What comes behind a value is a column, a key or a function: `'7' for column 'n'`.
    let behind = if code == SYNTAX { None } else { message.rfind("' for ") };
    let last = behind.or_else(|| message.rfind('\''));
    let (Some(first), Some(last)) = (first, last.filter(|last| Some(*last) > first)) else {
        return message.to_owned();
    };
    let quoted = &message[first + 1..last];
    let is_word = |c: char| c.is_alphabetic() || c == '_';
    let word = quoted.find(|c| !is_word(c)).map_or(quoted, |end| &quoted[..end]);
    let word = if code == SYNTAX { word } else { "" };
    format!("{}'{word}…{}", &message[..first], &message[last..])
}

/// OpenSSL's alert for a connection that ended in the middle, as a server's do when it shuts down.
fn is_shutdown(error: &io::Error) -> bool {
    error.to_string().contains("fatal alert: DecodeError")
}

fn tls(error: &str) -> String {
    let hint = if error.contains("UnknownIssuer") || error.contains("BadSignature") {
        ": no known authority has signed the server's certificate (SslCa takes others than Amazon's)"
    } else if error.contains("not valid for name") {
        ": Host has to be a name in the server's certificate (SslMode VERIFY_CA does without)"
    } else {
        ""
    };
    format!("TLS: {error}{hint}")
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    fn server(code: u16) -> Failure {
        Failure::from(Error::Server(ServerError {
            code,
            message: "it says".to_owned(),
            state: "HY000".to_owned(),
        }))
    }

    #[test]
    fn a_server_that_is_not_up_yet_is_worth_another_try() {
        for kind in [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::Other,
        ] {
            assert!(Failure::from(Error::from(io::Error::from(kind))).passes());
        }
        assert!(Failure::from(Error::Driver(DriverError::ConnectionClosed)).passes());
        let alert = "received fatal alert: DecodeError";
        let alert = io::Error::new(io::ErrorKind::InvalidData, alert);
        assert!(Failure::from(Error::from(alert)).passes());
        assert!(server(1040).passes());
    }

    #[test]
    fn a_wrong_password_and_a_wrong_certificate_are_not() {
        assert!(!server(ACCESS_DENIED).passes());
        let certificate = io::Error::new(io::ErrorKind::InvalidData, "UnknownIssuer");
        let failure = Failure::from(Error::from(certificate));
        assert!(!failure.passes());
        assert!(failure.to_string().contains("SslCa"), "{failure}");
        let plain = Failure::from(Error::Driver(DriverError::NoClientSslFlagFromServer));
        assert!(!plain.passes());
    }

    #[test]
    fn values_that_a_message_quotes_are_left_out() {
        for (code, message, told) in [
            (
                1366,
                "Incorrect integer value: 'it's 7' for column 'n' at row 1",
                "Incorrect integer value: '…' for column 'n' at row 1",
            ),
            (
                1062,
                "Duplicate entry 'ann@example.com' for key 'users.email'",
                "Duplicate entry '…' for key 'users.email'",
            ),
            (
                SYNTAX,
                "You have an error in your SQL syntax near 'VALUE ('secret', 7)' at line 3",
                "You have an error in your SQL syntax near 'VALUE…' at line 3",
            ),
            (SYNTAX, "near ''secret')' at line 1", "near '…' at line 1"),
            (SYNTAX, "near '' at line 1", "near '…' at line 1"),
            (NO_TABLE, "Table 'blog.posts' doesn't exist", "Table 'blog.posts' doesn't exist"),
        ] {
            assert_eq!(without_values(code, message), told);
        }
    }

    #[test]
    fn a_statement_with_a_password_is_not_quoted_at_all() {
        let quoted = Failure::Server { code: SYNTAX, message: "near 'hunter2' at line 1".to_owned() };
        let told = quoted.speechless().to_string();
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(server(1396).speechless().to_string(), "it says (MySQL error 1396)");
    }

    #[test]
    fn a_session_is_lost_with_its_connection_and_not_with_a_refusal() {
        assert!(Failure::Network("gone".to_owned()).is_loss());
        assert!(server(1053).is_loss() && !server(1040).is_loss() && !server(SYNTAX).is_loss());
        assert!(server(NO_PLAIN).wants_tls() && !server(ACCESS_DENIED).wants_tls());
    }

    #[test]
    fn the_servers_message_is_told_once() {
        assert_eq!(server(SYNTAX).to_string(), "it says (MySQL error 1064)");
    }
}
