//! Which database server this machine has.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// Where servers live besides the PATH: an ordinary user's PATH has no `sbin`, and some systems and Homebrew have
/// folders of their own.
const FOLDERS: [&str; 8] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/local/mysql/bin",
    "/opt/homebrew/opt/mysql/bin",
    "/opt/homebrew/opt/mariadb/bin",
    "/usr/local/opt/mysql/bin",
    "/usr/local/opt/mariadb/bin",
];

/// Names of a server's program, best first.
const NAMES: [&str; 2] = ["mysqld", "mariadbd"];

/// The variable that names one.
const VARIABLE: &str = "SLUICE_MYSQLD";

/// Once a process is enough to say which server it uses.
static SAID: Once = Once::new();

/// A server's program.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// What it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Mysql,
    Mariadb,
}

impl Binary {
    /// Finds a server, and says which: the one `SLUICE_MYSQLD` names, or else the first in the PATH and the usual folders.
    pub(super) async fn find() -> Result<Self> {
        let path = match std::env::var_os(VARIABLE) {
            Some(path) => PathBuf::from(path),
            None => find(&candidates()).context(
                "no database server was found, neither mysqld nor mariadbd: install one (Debian and Ubuntu: `apt-get \
                 install mariadb-server-core`; macOS: `brew install mariadb`), or name its program in SLUICE_MYSQLD",
            )?,
        };
        let said = Command::new(&path).arg("--version").output().await;
        let said = said.with_context(|| format!("running {} --version", path.display()))?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let kind = if said.contains("MariaDB") {
            Kind::Mariadb
        } else if said.contains("Ver ") {
            Kind::Mysql
        } else {
            bail!("{} is no database server: {said}", path.display());
        };
        let version = said.split_once("Ver ").map_or("", |(_, version)| version);
        SAID.call_once(|| {
            // Not by a macro, whose text the test runner keeps to itself. That nobody can read it is no error.
            let _ =
                writeln!(std::io::stderr(), "database server: {}, {}", path.display(), version.trim_end());
        });
        Ok(Self { path, kind })
    }

    /// The folder that holds the server's programs and its data files.
    pub(super) fn base(&self) -> PathBuf {
        let real = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        real.ancestors().nth(2).unwrap_or(Path::new("/usr")).to_owned()
    }
}

fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from)).collect();
    let named = |name: &'static str| folders.iter().map(move |folder| folder.join(name));
    NAMES.into_iter().flat_map(named).collect()
}

fn find(candidates: &[PathBuf]) -> Option<PathBuf> {
    candidates.iter().find(|path| path.is_file()).cloned()
}
