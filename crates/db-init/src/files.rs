//! Migrations as files: `migrations/V<version>__<name>.sql` beside the function's program.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

use crate::migration::Migration;

/// The folder's name.
const FOLDER: &str = "migrations";

/// The folder of this program, which on Lambda is where the archive is unpacked. It need not be there.
pub(crate) fn folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.join(FOLDER))
}

/// The migrations in a folder, by their versions; none if there is no such folder.
///
/// # Errors
/// Names the file that is no migration.
pub(crate) fn read(folder: &Path) -> Result<Vec<Migration>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context("reading the folder of migrations in the function's archive")?,
    };
    let mut migrations = Vec::new();
    for entry in entries {
        let entry = entry.context("reading the folder of migrations in the function's archive")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let migration = migration(&entry.path(), &name);
        migrations.push(migration.with_context(|| format!("{FOLDER}/{name} in the function's archive"))?);
    }
    migrations.sort_by_key(|migration| migration.version);
    let mut before = None;
    for migration in &migrations {
        migration
            .check_rise(before)
            .map_err(|error| anyhow!("{FOLDER} in the function's archive: {error}"))?;
        before = Some(migration.version);
    }
    Ok(migrations)
}

/// The migration in a file.
fn migration(path: &Path, name: &str) -> Result<Migration> {
    let parts = name.strip_prefix('V').and_then(|rest| rest.strip_suffix(".sql")?.split_once("__"));
    let (version, title) = parts.context("a migration is a file of the name V<version>__<name>.sql")?;
    ensure!(path.is_file(), "it is no file");
    let bytes = fs::read(path).context("reading it")?;
    let text = String::from_utf8(bytes).map_err(|error| {
        anyhow!("it is not UTF-8: byte {} is wrong", error.utf8_error().valid_up_to() + 1)
    })?;
    Ok(Migration {
        version: version.parse().map_err(|error| anyhow!("its version: {error}"))?,
        name: title.parse().map_err(|error| anyhow!("its name: {error}"))?,
        sql: text.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from a folder with these files.
    fn read(files: &[(&str, &[u8])]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let read = super::read(folder.path());
        read.map(|all| all.iter().map(ToString::to_string).collect()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn files_are_migrations_in_the_order_of_their_versions() {
        let files: [(&str, &[u8]); 3] = [
            ("V10__c.sql", b"SELECT 1"),
            ("V9__b_2.sql", b"SELECT 1"),
            ("V001__a.sql", b"\xef\xbb\xbfSELECT 1\r\n"),
        ];
        assert_eq!(read(&files).unwrap(), ["V1__a", "V9__b_2", "V10__c"]);
        assert!(super::read(Path::new("/nowhere/migrations")).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_migration_is_refused_by_the_files_name() {
        for (name, content, told) in [
            ("README.md", b"text".as_slice(), "a migration is a file of the name V<version>__<name>.sql"),
            ("V1_a.sql", b"SELECT 1", "a migration is a file of the name"),
            ("V1.5__a.sql", b"SELECT 1", "its version: \"1.5\" is no whole number"),
            ("V1__a-b.sql", b"SELECT 1", "its name: \"a-b\" is no name"),
            ("V1__a.sql", b"SELECT 'na\xefve'", "it is not UTF-8: byte 11 is wrong"),
            ("V1__a.sql", b"-- nothing", "there is no statement in it"),
        ] {
            let refusal = read(&[(name, content)]).unwrap_err();
            let place = format!("migrations/{name} in the function's archive: {told}");
            assert!(refusal.starts_with(&place), "{refusal}");
        }
        let twice: [(&str, &[u8]); 2] = [("V1__a.sql", b"SELECT 1"), ("V01__b.sql", b"SELECT 1")];
        assert!(read(&twice).unwrap_err().contains("versions have to rise"));
    }
}
