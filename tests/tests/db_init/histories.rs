//! Lists of migrations as they change over the years, against a model of what should come of each.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use stage::mysql::MysqlServer;

use super::{ask, migration, run, start};

/// What is in a list.
#[derive(Clone, Debug, PartialEq)]
struct Listed {
    version: u32,
    name: &'static str,
    text: u32,
    fails: bool,
}

impl Listed {
    /// Leaves a line, so that it can be seen how often it was done.
    fn property(&self) -> Value {
        let (version, text) = (self.version, self.text);
        let end = if self.fails { "; INSERT INTO nowhere VALUES (1)" } else { "" };
        let sql = format!("/* {text} */ INSERT INTO log VALUES ({version}){end}");
        migration(version, self.name, &sql)
    }
}

/// What somebody does to the list before a deployment.
#[derive(Clone, Debug)]
enum Change {
    Append { fails: bool },
    Insert(prop::sample::Index),
    Edit(prop::sample::Index),
    Rename(prop::sample::Index),
    Mend(prop::sample::Index),
    RollBack(usize),
    Nothing,
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => prop::bool::weighted(0.3).prop_map(|fails| Change::Append { fails }),
        2 => index().prop_map(Change::Insert),
        2 => index().prop_map(Change::Edit),
        1 => index().prop_map(Change::Rename),
        3 => index().prop_map(Change::Mend),
        3 => (1_usize..4).prop_map(Change::RollBack),
        2 => Just(Change::Nothing),
    ]
}

/// The list of the template, and what the database should hold.
#[derive(Debug, Default)]
struct Model {
    list: Vec<Listed>,
    applied: BTreeMap<u32, Listed>,
}

impl Model {
    fn change(&mut self, change: &Change, next_text: u32) {
        let last = self.list.last().map_or(0, |last| last.version);
        let listed = |version, fails| Listed { version, name: "one", text: next_text, fails };
        let length = self.list.len();
        let some = |index: &prop::sample::Index| (length > 0).then(|| index.index(length));
        match change {
            Change::Append { fails } => self.list.push(listed(last + 100, *fails)),
            Change::Insert(index) => {
                if let Some(index) = some(index) {
                    let version = self.list[index].version - 1;
                    if self.list.iter().all(|it| it.version != version) {
                        self.list.insert(index, listed(version, false));
                    }
                }
            }
            Change::Edit(index) => {
                if let Some(index) = some(index) {
                    self.list[index].text = next_text;
                }
            }
            Change::Rename(index) => {
                if let Some(index) = some(index) {
                    self.list[index].name = "another";
                }
            }
            Change::Mend(index) => {
                self.list.retain(|it| self.applied.get(&it.version).is_none_or(|done| done == it));
                let last = self.applied.keys().max().copied().unwrap_or(0);
                let known = |it: &Listed| self.applied.contains_key(&it.version);
                self.list.retain(|it| known(it) || it.version > last);
                let length = self.list.len();
                if length > 0 {
                    let mended = &mut self.list[index.index(length)];
                    mended.fails &= self.applied.contains_key(&mended.version);
                }
            }
            Change::RollBack(by) => self.list.truncate(length.saturating_sub(*by)),
            Change::Nothing => {}
        }
    }

    /// Deploys the list: what the reason has to begin with, if it is refused.
    fn deploy(&mut self) -> Result<(), String> {
        let last = self.applied.keys().max().copied().unwrap_or(0);
        for it in &self.list {
            let full = format!("migration V{}__{}", it.version, it.name);
            match self.applied.get(&it.version) {
                Some(done) if done == it => {}
                Some(done) if done.name == it.name => return Err(format!("{full} was edited")),
                Some(_) => return Err(format!("{full} was applied under")),
                None if it.version < last => return Err(format!("{full} comes too late")),
                None => {}
            }
        }
        for it in &self.list {
            if self.applied.contains_key(&it.version) {
                continue;
            }
            if it.fails {
                return Err(format!("applying migration V{}__{}: statement 2", it.version, it.name));
            }
            self.applied.insert(it.version, it.clone());
        }
        Ok(())
    }
}

async fn play(server: &MysqlServer, database: &str, changes: &[Change]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let base = migration(1, "base", "CREATE TABLE log (version INT)");
    let mut all = vec![Change::Nothing];
    all.extend_from_slice(changes);
    for (text, change) in (0..).zip(&all) {
        model.change(change, text);
        let mut list = vec![base.clone()];
        // The first version is the base's.
        list.extend(model.list.iter().map(Listed::property));
        let properties = json!({ "Database": database, "Migrations": list });
        let time = Duration::from_secs(60);
        let done = run(server, server.secret(), properties, time).await;
        match (model.deploy(), done) {
            (Ok(()), Ok(done)) => {
                let version = model.applied.keys().max().copied().unwrap_or(1).to_string();
                prop_assert_eq!(done.get("SchemaVersion"), Some(version.as_str()));
            }
            (Err(reason), Err(error)) => {
                let told = format!("{error:#}");
                prop_assert!(told.starts_with(&reason), "{reason}: {told}");
            }
            (expected, got) => prop_assert!(false, "{change:?}: {expected:?}, but {got:?}"),
        }
        let applied: Vec<_> = model.applied.keys().map(u32::to_string).collect();
        let log = format!("SELECT version FROM `{database}`.log ORDER BY version");
        prop_assert_eq!(&ask(server, &log).await, &applied);
        let history = format!(
            "SELECT version FROM `{database}`.sluice_schema_history WHERE version > 1 ORDER BY version"
        );
        prop_assert_eq!(&ask(server, &history).await, &applied);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_of_lists_leaves_each_migration_applied_once() {
    let server = start().await;
    let config = Config { cases: 20, max_shrink_iters: 50, failure_persistence: None, ..Config::default() };
    let handle = tokio::runtime::Handle::current();
    let count = std::cell::Cell::new(0);
    let played = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&vec(change(), 1..12), |changes| {
            count.set(count.get() + 1);
            handle.block_on(play(&server, &format!("case {}", count.get()), &changes))
        })
    });
    played.unwrap();
}
