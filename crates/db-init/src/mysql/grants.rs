//! The grants that DMS's user is to have, and how it comes to them.

use std::collections::{BTreeMap, BTreeSet};

use super::identifier::{Identifier, MAX_CHARS, quoted};
use super::readiness::Variables;
use super::user::ReplicationUser;

/// A privilege on something, or a role. Both parts are SQL, with names quoted.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Grant {
    /// `None` for a role.
    pub(crate) on: Option<String>,
    pub(crate) what: String,
}

impl Grant {
    pub(crate) fn on(on: &str, what: &str) -> Self {
        Self { on: Some(on.to_owned()), what: what.to_owned() }
    }

    pub(crate) fn role(role: String) -> Self {
        Self { on: None, what: role }
    }

    /// Whether it is to read one whole database, by its own name, that isn't the server's: what a DbInit of another database
    /// gives to the same user.
    fn reads_a_database(&self, variables: &Variables) -> bool {
        let on = self.on.as_deref().and_then(|on| on.strip_prefix('`')?.strip_suffix("`.*"));
        let Some(pattern) = on.filter(|_| self.what == "SELECT") else {
            return false;
        };
        let is_plain = variables.get("partial_revokes").is_some_and(|it| it == "ON");
        let mut name = String::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            match c {
                '%' | '_' if !is_plain => return false,
                '\\' if !is_plain => name.extend(rest.next()),
                c => name.push(c),
            }
        }
        name.replace("``", "`").parse::<Identifier>().is_ok()
    }
}

/// What CDC needs, and no more: to read the binlog, to ask where it is, and to read the database.
/// (assumption: grants-for-cdc)
///
/// # Errors
/// If the database has a name that no GRANT can spell.
pub(crate) fn wanted(database: &Identifier, variables: &Variables) -> Result<BTreeSet<Grant>, NameTooLong> {
    let pattern = pattern(database, variables);
    let length = pattern.chars().count();
    if length > MAX_CHARS {
        return Err(NameTooLong(length));
    }
    let database = format!("{}.*", quoted(&pattern));
    Ok(BTreeSet::from([
        Grant::on("*.*", "REPLICATION CLIENT"),
        Grant::on("*.*", "REPLICATION SLAVE"),
        Grant::on(&database, "SELECT"),
    ]))
}

/// What the user is to have in the end, who has these grants now: what is wanted, and the other databases that are read.
pub(crate) fn kept(
    had: &BTreeSet<Grant>,
    wanted: &BTreeSet<Grant>,
    variables: &Variables,
) -> BTreeSet<Grant> {
    let others = had.iter().filter(|grant| grant.reads_a_database(variables));
    others.chain(wanted).cloned().collect()
}

/// The name of a database that is too long for a GRANT.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a GRANT takes at most {MAX_CHARS} characters for a database, and with a backslash before each `_`, `%` and `\\` its \
     name has {0}: set up the user of DMS without db-init, or give the database a shorter name"
)]
pub(crate) struct NameTooLong(usize);

/// A database as a GRANT names it: by a pattern, in which the underscore of `my_shop` would stand for any character. Where
/// partial revokes are on, it is the plain name.
fn pattern(database: &Identifier, variables: &Variables) -> String {
    let is = |name: &str, value: &str| variables.get(name).is_some_and(|it| it == value);
    let name = if is("lower_case_table_names", "0") {
        database.as_str().to_owned()
    } else {
        database.as_str().to_lowercase()
    };
    if is("partial_revokes", "ON") {
        return name;
    }
    let mut pattern = String::new();
    for c in name.chars() {
        if matches!(c, '\\' | '_' | '%') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A change of grants: everything here is on the same thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Give(Option<String>, Vec<String>),
    Take(Option<String>, Vec<String>),
}

impl Change {
    /// The statement that makes it. It holds no secret.
    pub(crate) fn sql(&self, user: &ReplicationUser) -> String {
        let on = |on: &Option<String>| match on {
            Some(on) => format!(" ON {on}"),
            None => String::new(),
        };
        let account = user.account();
        match self {
            Self::Give(thing, what) => {
                format!("GRANT {}{} TO {account}", what.join(", "), on(thing))
            }
            Self::Take(thing, what) => {
                format!("REVOKE {}{} FROM {account}", what.join(", "), on(thing))
            }
        }
    }
}

/// What leads from the grants there are to those that are wanted. What is missing comes first, and what is wanted is never
/// taken: DMS can go on reading in between.
pub(crate) fn changes(had: &BTreeSet<Grant>, wanted: &BTreeSet<Grant>) -> Vec<Change> {
    let give = grouped(wanted.difference(had)).map(|(on, what)| Change::Give(on, what));
    let take = grouped(had.difference(wanted)).map(|(on, what)| Change::Take(on, what));
    give.chain(take).collect()
}

fn grouped<'a>(
    grants: impl Iterator<Item = &'a Grant>,
) -> impl Iterator<Item = (Option<String>, Vec<String>)> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for grant in grants {
        let group = groups.entry(grant.on.clone()).or_default();
        group.push(grant.what.clone());
    }
    groups.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Credentials;

    fn user() -> ReplicationUser {
        let secret = r#"{"username":"dms","password":"hunter2"}"#;
        ReplicationUser::new(Credentials::parse(secret).unwrap(), "the master").unwrap()
    }

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        let owned = pairs.iter().map(|(a, b)| ((*a).into(), (*b).into()));
        owned.collect()
    }

    #[test]
    fn a_database_is_granted_by_its_own_name_and_no_pattern() {
        let name: Identifier = "My_Sh%p\\`".parse().unwrap();
        let wanted = |pairs: &[(&str, &str)]| wanted(&name, &variables(pairs)).unwrap();
        let holds = |set: BTreeSet<Grant>, on: &str| set.contains(&Grant::on(on, "SELECT"));
        let sensitive = ("lower_case_table_names", "0");
        assert!(holds(wanted(&[sensitive]), r"`My\_Sh\%p\\```.*"));
        let folded = ("lower_case_table_names", "1");
        assert!(holds(wanted(&[folded]), r"`my\_sh\%p\\```.*"));
        let plain = ("partial_revokes", "ON");
        assert!(holds(wanted(&[sensitive, plain]), r"`My_Sh%p\```.*"));
    }

    #[test]
    fn only_what_reads_a_whole_database_by_its_name_is_kept_besides() {
        let kept = |what: &str, on: &str, pairs: &[(&str, &str)]| {
            let had = BTreeSet::from([Grant::on(on, what)]);
            kept(&had, &BTreeSet::new(), &variables(pairs)) == had
        };
        for on in ["`shop`.*", "`a``b`.*", r"`my\_shop`.*"] {
            assert!(kept("SELECT", on, &[]), "{on}");
            assert!(!kept("INSERT", on, &[]), "{on}");
        }
        for on in ["*.*", "`%`.*", "`my_shop`.*", "`mysql`.*", "`SYS`.*", "`shop`.`t`"] {
            assert!(!kept("SELECT", on, &[]), "{on}");
        }
        assert!(kept("SELECT", "`my_shop`.*", &[("partial_revokes", "ON")]));
        assert!(!kept("SELECT (`a`)", "`shop`.*", &[]));
    }

    #[test]
    fn a_name_that_no_grant_can_spell_is_refused() {
        let name: Identifier = "_".repeat(33).parse().unwrap();
        let refused = wanted(&name, &Variables::new()).unwrap_err();
        assert_eq!(refused, NameTooLong(66));
        wanted(&name, &variables(&[("partial_revokes", "ON")])).unwrap();
    }

    #[test]
    fn what_is_as_it_should_be_needs_no_change() {
        let wanted = wanted(&"shop".parse().unwrap(), &Variables::new()).unwrap();
        assert!(changes(&wanted, &wanted).is_empty());
    }

    #[test]
    fn one_statement_changes_all_that_concerns_one_thing() {
        let had = BTreeSet::from([
            Grant::on("*.*", "REPLICATION CLIENT"),
            Grant::on("*.*", "SUPER"),
            Grant::on("*.*", "GRANT OPTION"),
            Grant::role("`boss`@`%`".to_owned()),
        ]);
        let wanted = wanted(&"shop".parse().unwrap(), &Variables::new()).unwrap();
        let user = user();
        let statements: Vec<_> = changes(&had, &wanted).iter().map(|it| it.sql(&user)).collect();
        assert_eq!(
            statements,
            [
                "GRANT REPLICATION SLAVE ON *.* TO `dms`@`%`",
                "GRANT SELECT ON `shop`.* TO `dms`@`%`",
                "REVOKE `boss`@`%` FROM `dms`@`%`",
                "REVOKE GRANT OPTION, SUPER ON *.* FROM `dms`@`%`",
            ]
        );
    }

    fn grants() -> impl Strategy<Value = BTreeSet<Grant>> {
        let on = prop::sample::select(vec![Some("*.*"), Some("`a`.*"), Some("`a`.`t`"), None]);
        let what = prop::sample::select(vec!["SELECT", "INSERT", "GRANT OPTION", "`r`@`%`"]);
        let grant =
            (on, what).prop_map(|(on, what)| Grant { on: on.map(str::to_owned), what: what.to_owned() });
        btree_set(grant, 0..10)
    }

    proptest! {
        #[test]
        fn any_grants_become_the_wanted_ones_and_no_wanted_one_is_ever_missing(had in grants(), wanted in grants()) {
            let mut now = had.clone();
            for change in changes(&had, &wanted) {
                let (Change::Give(on, all) | Change::Take(on, all)) = &change;
                for what in all {
                    let grant = Grant { on: on.clone(), what: what.clone() };
                    let new = match change {
                        Change::Give(..) => now.insert(grant),
                        Change::Take(..) => now.remove(&grant),
                    };
                    prop_assert!(new, "{change:?} changes nothing");
                }
                let kept: BTreeSet<_> = had.intersection(&wanted).cloned().collect();
                prop_assert!(kept.is_subset(&now));
                if matches!(change, Change::Take(..)) {
                    prop_assert!(wanted.is_subset(&now), "taken before all was given");
                }
            }
            prop_assert_eq!(now, wanted);
        }
    }
}
