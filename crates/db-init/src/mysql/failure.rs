//! What can go wrong between here and the server, in words that say it once.

use std::io;
use std::time::Duration;

use mysql_async::{DriverError, Error, IoError, ServerError};

use super::plain;

/// Server errors at a login that pass by themselves: too many connections (also of one user), a server that shuts down or
/// isn't up, a connection that another session killed.
const PASSING: [u16; 7] = [1040, 1203, 1226, 1053, 3168, 1927, 4031];

/// Those of them by which a session ends that was at work.
const LOSSES: [u16; 4] = [1053, 3168, 1927, 4031];

/// Those of them that come after the password was taken.
const CROWDED: [u16; 2] = [1203, 1226];

/// A locked account: MySQL's, MariaDB's, and MySQL's after too many wrong passwords.
const LOCKED: [u16; 3] = [3118, 4151, 3955];

/// No such database, no such table, no such procedure, no right to call it, a statement the server doesn't know.
const NO_DATABASE: u16 = 1049;
const NO_TABLE: u16 = 1146;
const NO_PROCEDURE: u16 = 1305;
const NO_EXECUTE: u16 = 1370;
const SYNTAX: u16 = 1064;
const ACCESS_DENIED: u16 = 1045;
const NO_PLAIN: u16 = 3159;
const SIGNAL: u16 = 1644;

/// An option forbids the statement; InnoDB's own word for read-only.
const OPTION: u16 = 1290;
const READ_ONLY_MODE: u16 = 1836;

/// Errors whose messages name accounts, databases, tables, columns, keys, constraints, programs, options or numbers, and never
/// quote a value, a statement or somebody's text. All others are told by number and symbol: a list of what is harmless
/// forgets nothing that isn't.
const HARMLESS: [u16; 84] = [
    1005, 1006, 1007, 1008, 1021, 1036, 1040, 1041, 1044, 1045, 1046, 1048, 1049, 1050, 1051, 1053, 1061,
    1067, 1068, 1071, 1072, 1075, 1091, 1114, 1115, 1118, 1129, 1130, 1136, 1142, 1143, 1146, 1147, 1170,
    1171, 1203, 1205, 1206, 1213, 1215, 1216, 1217, 1226, 1227, 1235, 1264, 1265, 1273, 1286, 1290, 1304,
    1305, 1359, 1360, 1364, 1370, 1396, 1406, 1410, 1418, 1419, 1451, 1452, 1785, 1792, 1819, 1822, 1824,
    1826, 1830, 1832, 1833, 1834, 1836, 1927, 3118, 3159, 3168, 3638, 3780, 3819, 3955, 4031, 4151,
];

/// MySQL's symbols for its errors: number, blank, symbol.
const SYMBOLS: &str = include_str!("../../data/mysql-errors.txt");

/// Why the server didn't do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server's own word, as far as it may be told.
    #[error("{told}{}", hint(*.code))]
    Server { code: u16, told: String },
    /// The server writes nothing, which passes where a failover is at its cause. (assumption: read-only-in-failover)
    #[error(
        "the server is read-only: is it the writer, which is the cluster's endpoint and not the reader endpoint?"
    )]
    ReadOnly,
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
    /// Whether a login that failed so is worth another.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Silence(_)) || self.has_code(&PASSING)
    }

    /// Whether the connection is gone, or the server is about to go.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self, Self::Network(_)) || self.has_code(&LOSSES)
    }

    /// Whether the server refuses to write anything.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Self::ReadOnly)
    }

    /// Whether the server took the password, and only then let nobody in: there are too many connections of the user.
    pub(crate) fn is_after_the_password(&self) -> bool {
        self.has_code(&CROWDED)
    }

    /// Whether the account is locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.has_code(&LOCKED)
    }

    /// Whether a table, or the database it would be in, isn't there.
    pub(crate) fn is_missing_table(&self) -> bool {
        self.has_code(&[NO_DATABASE, NO_TABLE])
    }

    /// Whether it is for want of TLS that nobody was let in.
    pub(crate) fn wants_tls(&self) -> bool {
        self.has_code(&[NO_PLAIN, plain::REFUSED])
    }

    /// Whether the server doesn't know the statement.
    pub(crate) fn is_unknown_statement(&self) -> bool {
        self.has_code(&[SYNTAX])
    }

    fn has_code(&self, codes: &[u16]) -> bool {
        matches!(self, Self::Server { code, .. } if codes.contains(code))
    }
}

fn hint(code: u16) -> &'static str {
    match code {
        ACCESS_DENIED => ": the server takes neither this user nor this password",
        NO_PROCEDURE | NO_EXECUTE => {
            ": the binlog retention is set by a procedure that Amazon RDS and Aurora have for their master user"
        }
        NO_PLAIN | plain::REFUSED => ": SslMode has to be REQUIRED, VERIFY_CA or VERIFY_IDENTITY",
        SYNTAX => {
            ": the server doesn't understand the statement, which may hold values and isn't quoted here (DELIMITER is a \
             command of the mysql client, and isn't needed)"
        }
        SIGNAL => ": a program in the database raised this, and its text may hold values",
        _ => "",
    }
}

impl From<&ServerError> for Failure {
    fn from(error: &ServerError) -> Self {
        let ServerError { code, message, .. } = error;
        // MariaDB has an option against hashed passwords, too, which has the same number.
        let forbids_writing = *code == OPTION && message.contains("read-only") || *code == READ_ONLY_MODE;
        if forbids_writing {
            return Self::ReadOnly;
        }
        let told = if HARMLESS.contains(code) || *code == plain::REFUSED {
            format!("{message} (MySQL error {code})")
        } else {
            match symbol(*code) {
                Some(symbol) => format!("MySQL error {code} ({symbol})"),
                None => format!("MySQL error {code}"),
            }
        };
        Self::Server { code: *code, told }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::Server(error) => error.into(),
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
            // It would print the packet.
            Error::Driver(DriverError::UnexpectedPacket { .. }) => {
                Self::Driver("the server said what the driver doesn't understand".to_owned())
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

fn symbol(code: u16) -> Option<&'static str> {
    let code = code.to_string();
    let of = |line: &'static str| line.strip_prefix(&code)?.strip_prefix(' ');
    SYMBOLS.lines().find_map(of)
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
    use super::*;

    fn says(code: u16, message: &str) -> Failure {
        let (message, state) = (message.to_owned(), "HY000".to_owned());
        Failure::from(Error::Server(ServerError { code, message, state }))
    }

    fn server(code: u16) -> Failure {
        says(code, "it says")
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
    fn a_message_is_told_only_if_it_names_things_and_nothing_else() {
        for (code, message, told) in [
            (
                NO_TABLE,
                "Table 'blog.posts' doesn't exist",
                "Table 'blog.posts' doesn't exist (MySQL error 1146)",
            ),
            (1062, "Duplicate entry 'hunter2' for key 'users.email'", "MySQL error 1062 (ER_DUP_ENTRY)"),
            (
                1690,
                "BIGINT value is out of range in '(hunter2 + 1)'",
                "MySQL error 1690 (ER_DATA_OUT_OF_RANGE)",
            ),
            (1054, "Unknown column 'hunter2' in 'field list'", "MySQL error 1054 (ER_BAD_FIELD_ERROR)"),
            (4999, "hunter2", "MySQL error 4999"),
        ] {
            assert_eq!(says(code, message).to_string(), told);
        }
        for code in [SYNTAX, 1231, 1292, 1298, 1300, 1366, 1526, SIGNAL, 3140] {
            let told = says(code, "hunter2").to_string();
            assert!(
                !told.contains("hunter2") && told.starts_with(&format!("MySQL error {code} (ER_")),
                "{told}"
            );
        }
    }

    #[test]
    fn a_session_is_lost_with_its_connection_and_not_with_a_refusal() {
        assert!(Failure::Network("gone".to_owned()).is_loss());
        assert!(server(1053).is_loss() && !server(1040).is_loss() && !server(SYNTAX).is_loss());
        assert!(server(NO_PLAIN).wants_tls() && !server(ACCESS_DENIED).wants_tls());
    }

    #[test]
    fn read_only_is_what_forbids_writing_and_no_other_option() {
        let running =
            |option: &str| format!("The server is running with the --{option} option so it cannot execute");
        assert!(says(OPTION, &running("read-only")).is_read_only());
        assert!(says(OPTION, &running("super-read-only")).is_read_only());
        assert!(!says(OPTION, &running("strict-password-validation")).is_read_only());
        assert!(server(READ_ONLY_MODE).is_read_only());
    }

    #[test]
    fn the_servers_message_is_told_once() {
        assert_eq!(server(NO_TABLE).to_string(), "it says (MySQL error 1146)");
    }
}
