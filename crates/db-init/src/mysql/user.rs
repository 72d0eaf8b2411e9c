//! The user that DMS connects as.

use std::fmt;

use super::identifier::quoted;
use crate::secret::{Credentials, Password};

/// The host of the account: DMS comes from an address that nobody knows beforehand.
pub(crate) const HOST: &str = "%";

/// Users of the server and of RDS, whom nobody else may touch.
const RESERVED: [&str; 12] = [
    "root",
    "public",
    "event_scheduler",
    "mysql.infoschema",
    "mysql.session",
    "mysql.sys",
    "mariadb.sys",
    "rdsadmin",
    "rdsproxyadmin",
    "rdsrepladmin",
    "rdstopmgr",
    "rds_superuser_role",
];

/// The user of a stream.
pub(crate) struct ReplicationUser {
    pub(crate) name: String,
    pub(crate) password: Password,
}

/// Why a secret's user can't be a stream's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unsuitable {
    #[error("its user is the master user; DMS needs a user of its own")]
    Master,
    #[error("its user belongs to the server; DMS needs a user of its own")]
    Reserved,
    #[error("the name of its user begins or ends with a space")]
    Space,
    #[error("the name of its user holds characters beyond U+FFFF")]
    Character,
}

impl ReplicationUser {
    /// The user of this secret, where `master` is the user who sets it up.
    pub(crate) fn new(credentials: Credentials, master: &str) -> Result<Self, Unsuitable> {
        let name = credentials.username;
        if name == master {
            Err(Unsuitable::Master)
        } else if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            Err(Unsuitable::Reserved)
        } else if name.trim() != name {
            // MySQL takes the space off: this could be the master after all.
            Err(Unsuitable::Space)
        } else if name.chars().any(|c| c > '\u{ffff}') {
            Err(Unsuitable::Character)
        } else {
            Ok(Self { name, password: credentials.password })
        }
    }

    /// The characters in the password that DMS refuses, by their names. (assumption: dms-password-characters)
    pub(crate) fn refused_by_dms(&self) -> impl Iterator<Item = &'static str> {
        let names = [(';', "semicolon"), (':', "colon"), ('+', "plus sign"), ('%', "percent sign")];
        let held = |(character, name)| self.password.reveal().contains(character).then_some(name);
        names.into_iter().filter_map(held)
    }

    /// The account, as SQL wants it.
    pub(crate) fn account(&self) -> String {
        account(&self.name, HOST)
    }
}

impl fmt::Display for ReplicationUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'@'{HOST}'", self.name)
    }
}

/// An account, as SQL wants it.
pub(crate) fn account(name: &str, host: &str) -> String {
    format!("{}@{}", quoted(name), quoted(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Result<ReplicationUser, Unsuitable> {
        let secret = serde_json::json!({ "username": name, "password": "hunter2" });
        ReplicationUser::new(Credentials::parse(&secret.to_string()).unwrap(), "the master")
    }

    #[test]
    fn users_that_are_not_the_streams_are_refused() {
        let refused = |name: &str| user(name).err().unwrap();
        assert_eq!(refused("the master"), Unsuitable::Master);
        for name in ["the master ", "\tthe master"] {
            assert_eq!(refused(name), Unsuitable::Space, "{name}");
        }
        for name in ["root", "ROOT", "rdsadmin", "mysql.sys", "PUBLIC"] {
            assert_eq!(refused(name), Unsuitable::Reserved, "{name}");
        }
        assert_eq!(refused("🦀"), Unsuitable::Character);
        assert_eq!(user("d`ms").unwrap().account(), "`d``ms`@`%`");
    }

    #[test]
    fn characters_that_dms_refuses_are_named() {
        let mut user = user("dms").unwrap();
        assert_eq!(user.refused_by_dms().count(), 0);
        let secret = serde_json::json!({ "username": "dms", "password": "a%b;c" });
        user = ReplicationUser::new(Credentials::parse(&secret.to_string()).unwrap(), "master").unwrap();
        assert_eq!(user.refused_by_dms().collect::<Vec<_>>(), ["semicolon", "percent sign"]);
    }
}
