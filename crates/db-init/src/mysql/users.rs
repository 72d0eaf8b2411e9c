//! Making the user that DMS connects as what it should be.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{OptsBuilder, Params, Row};
use tracing::info;

use super::failure::Failure;
use super::{Session, connect, text};
use crate::mysql::grants::{Change, Grant, changes, kept};
use crate::mysql::identifier::quoted;
use crate::mysql::readiness::{Variables, is_mariadb};
use crate::mysql::user::{HOST, ReplicationUser, account};

/// Where privileges are to be found, and what they are on: schema, table and column, as far as a table has them.
const PRIVILEGES: [(&str, &str); 4] = [
    ("USER_PRIVILEGES", "NULL, NULL, NULL"),
    ("SCHEMA_PRIVILEGES", "TABLE_SCHEMA, NULL, NULL"),
    ("TABLE_PRIVILEGES", "TABLE_SCHEMA, TABLE_NAME, NULL"),
    ("COLUMN_PRIVILEGES", "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME"),
];

const ROUTINES: &str =
    "SELECT Routine_type, Db, Routine_name, Proc_priv FROM mysql.procs_priv WHERE User = ? AND Host = ?";

const PROXIED: &str = "SELECT Proxied_user, Proxied_host FROM mysql.proxies_priv WHERE User = ? AND Host = ?";

/// MySQL's roles are accounts.
const ROLES: &str = "SELECT FROM_USER, FROM_HOST FROM mysql.role_edges WHERE TO_USER = ? AND TO_HOST = ?";

/// MariaDB's are names.
const NAMED_ROLES: &str = "SELECT Role, NULL FROM mysql.roles_mapping WHERE User = ? AND Host = ?";

impl Session {
    /// Refuses a user that has accounts for other hosts too: the server takes the one that fits the address best, and DMS
    /// would be somebody else than the user that is set up here.
    pub(crate) async fn check_user(&mut self, user: &ReplicationUser) -> Result<()> {
        let hosts = self.hosts(user).await?;
        let others: Vec<_> = hosts.iter().filter(|host| *host != HOST).collect();
        ensure!(
            others.is_empty(),
            "there are accounts of {:?} for other hosts too ({others:?}), which the server could take DMS for: drop \
             them, or give DMS another name",
            user.name
        );
        Ok(())
    }

    /// Sees to it that the user exists, has this password and exactly the grants that are wanted. Changes nothing where
    /// this is so.
    pub(crate) async fn set_up_user(
        &mut self,
        user: &ReplicationUser,
        wanted: &BTreeSet<Grant>,
        variables: &Variables,
    ) -> Result<()> {
        // With it a quote is doubled and a backslash is a character: the one way to quote that knows no exception.
        self.change("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'").await?;
        let exists = self.hosts(user).await?.iter().any(|host| host == HOST);
        if exists {
            self.let_in(user, variables).await?;
        } else {
            self.identify("CREATE USER", user, variables).await?;
        }
        let had = self.grants(user).await?;
        let wanted = &kept(&had, wanted, variables);
        let changes = changes(&had, wanted);
        for change in &changes {
            let statement = change.sql(user);
            info!(user.name, statement, "changing the user's grants");
            self.change(&statement).await.with_context(|| statement)?;
        }
        let roles = changes.iter().any(|it| matches!(it, Change::Take(None, _)));
        if roles && is_mariadb(variables) {
            // It stays the default otherwise, for the day on which somebody grants it again.
            let none = format!("SET DEFAULT ROLE NONE FOR {}", user.account());
            self.change(&none).await.with_context(|| none)?;
        }
        let has = self.grants(user).await?;
        let strange: Vec<_> = has.symmetric_difference(wanted).collect();
        ensure!(strange.is_empty(), "the server does not report what was granted: {strange:?}");
        self.lets_in(user)
            .await
            .with_context(|| format!("logging in as {user} with the password of its secret"))
    }

    /// The hosts that the user has accounts for.
    async fn hosts(&mut self, user: &ReplicationUser) -> Result<Vec<String>> {
        let hosts = "SELECT Host FROM mysql.user WHERE User = ?";
        let rows = self.asked(hosts, (user.name.as_str(),)).await;
        let rows = rows.context("looking for the user's accounts")?;
        Ok(rows.iter().filter_map(|row| text(row, 0)).collect())
    }

    /// Sees to it that a user who exists is let in with the password of its secret: unlocks the account, sets the password, or
    /// both. The password is left alone where it is the right one, since a history of passwords would refuse it.
    async fn let_in(&mut self, user: &ReplicationUser, variables: &Variables) -> Result<()> {
        for _ in 0..2 {
            match self.lets_in(user).await {
                Ok(()) => break,
                Err(failure) if failure.passes() || failure.wants_tls() => {
                    return Err(failure).with_context(|| format!("logging in as {user}"));
                }
                Err(failure) if failure.is_locked() => {
                    info!(user.name, "unlocking the user's account");
                    let unlock = format!("ALTER USER {} ACCOUNT UNLOCK", user.account());
                    self.change(&unlock).await.with_context(|| unlock)?;
                }
                Err(failure) => {
                    info!(user.name, %failure, "the server takes another password, or none");
                    self.identify("ALTER USER", user, variables).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether the server takes the user's password.
    async fn lets_in(&self, user: &ReplicationUser) -> Result<(), Failure> {
        let opts = OptsBuilder::from_opts(self.opts.clone())
            .user(Some(user.name.as_str()))
            .pass(Some(user.password.reveal()));
        match connect(&opts.into()).await {
            Ok(conn) => {
                // It is let in, which is all that was asked.
                let _ = conn.disconnect().await;
                Ok(())
            }
            // DMS itself may have all the connections that the user is allowed.
            Err(failure) if failure.is_after_the_password() => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Gives the user the password of its secret. The server checks it against its policy, and keeps it out of the binlog.
    async fn identify(&mut self, how: &str, user: &ReplicationUser, variables: &Variables) -> Result<()> {
        let doing = || format!("{how} {user} with the password of its secret");
        let account = user.account();
        let password = literal(user.password.reveal());
        let statements = if is_mariadb(variables) {
            // It writes CREATE USER and ALTER USER to the binlog as they are, and SET PASSWORD with a hash. So the former
            // get a password that nobody knows, and that any policy likes.
            let mut random = [0; 16];
            getrandom::fill(&mut random)
                .map_err(|error| anyhow!("{}: no random numbers: {error}", doing()))?;
            let random = literal(&format!("Aa1!{:032x}", u128::from_le_bytes(random)));
            vec![
                format!("{how} {account} IDENTIFIED BY {random}"),
                format!("SET PASSWORD FOR {account} = PASSWORD({password})"),
            ]
        } else {
            vec![format!("{how} {account} IDENTIFIED BY {password}")]
        };
        for statement in statements {
            self.change(&statement).await.with_context(doing)?;
        }
        info!(user.name, how, "gave the user its password");
        Ok(())
    }

    async fn grants(&mut self, user: &ReplicationUser) -> Result<BTreeSet<Grant>> {
        let read = self.all_grants(user).await;
        read.with_context(|| format!("reading the grants of {user}"))
    }

    async fn all_grants(&mut self, user: &ReplicationUser) -> Result<BTreeSet<Grant>, Failure> {
        let mut grants = BTreeSet::new();
        // As the server writes it: quotes in names are not doubled.
        let grantee = format!("'{}'@'{HOST}'", user.name);
        let mut privileges = Vec::new();
        for (table, on) in PRIVILEGES {
            // By bytes: to the collation of these tables, `dms`, `DMS` and `dmś` are one.
            let query = format!(
                "SELECT {on}, PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.{table} \
                 WHERE CAST(GRANTEE AS BINARY) = CAST(? AS BINARY)"
            );
            privileges.extend(self.asked(&query, (grantee.as_str(),)).await?);
        }
        for row in privileges {
            let [schema, table, column, kind, grantable] = [0, 1, 2, 3, 4].map(|index| text(&row, index));
            let on = match (&schema, &table) {
                (None, _) => "*.*".to_owned(),
                (Some(schema), None) => format!("{}.*", quoted(schema)),
                (Some(schema), Some(table)) => format!("{}.{}", quoted(schema), quoted(table)),
            };
            let kind = kind.unwrap_or_default();
            match column {
                Some(column) => {
                    grants.insert(Grant::on(&on, &format!("{kind} ({})", quoted(&column))));
                }
                // It stands for nothing.
                None if kind == "USAGE" => {}
                // MariaDB's name for it.
                None if kind == "BINLOG MONITOR" => {
                    grants.insert(Grant::on(&on, "REPLICATION CLIENT"));
                }
                None => {
                    grants.insert(Grant::on(&on, &kind));
                }
            }
            if grantable.as_deref() == Some("YES") {
                grants.insert(Grant::on(&on, "GRANT OPTION"));
            }
        }

        let account_of = (user.name.as_str(), HOST);
        for row in self.asked(ROUTINES, account_of).await? {
            let [kind, schema, name, privileges] =
                [0, 1, 2, 3].map(|column| text(&row, column).unwrap_or_default());
            let on = format!("{kind} {}.{}", quoted(&schema), quoted(&name));
            for privilege in privileges.split(',') {
                let privilege = match privilege {
                    "Grant" => "GRANT OPTION".to_owned(),
                    other => other.to_uppercase(),
                };
                grants.insert(Grant::on(&on, &privilege));
            }
        }
        for row in self.asked(PROXIED, account_of).await? {
            let [name, host] = pair(&row);
            let on = account(&name.unwrap_or_default(), &host.unwrap_or_default());
            grants.insert(Grant::on(&on, "PROXY"));
        }
        for roles in [ROLES, NAMED_ROLES] {
            match self.asked(roles, account_of).await {
                // Each server has one of the two tables, and old ones have neither.
                Err(failure) if failure.is_missing_table() => {}
                rows => {
                    for row in rows? {
                        let [name, host] = pair(&row);
                        let name = name.unwrap_or_default();
                        let role = host.map_or_else(|| quoted(&name), |host| account(&name, &host));
                        grants.insert(Grant::role(role));
                    }
                }
            }
        }
        Ok(grants)
    }

    async fn asked(&mut self, query: &str, values: impl Into<Params> + Send) -> Result<Vec<Row>, Failure> {
        self.conn.exec(query, values.into()).await.map_err(Failure::from)
    }

    async fn change(&mut self, statement: &str) -> Result<(), Failure> {
        self.conn.query_drop(statement).await.map_err(Failure::from)
    }
}

/// A text as SQL wants it, in a session of NO_BACKSLASH_ESCAPES.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn pair(row: &Row) -> [Option<String>; 2] {
    [text(row, 0), text(row, 1)]
}
