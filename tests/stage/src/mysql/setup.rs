//! How a server's data comes to be, and with which arguments it serves.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::binary::{Binary, Kind};
use super::watchdog::Watchdog;
use super::{ADMIN, Options};

/// What the server runs when it starts for the first time.
pub(super) const INIT: &str = "init.sql";

/// RDS's configuration and its two procedures, with Aurora's rules. The procedures work on behalf of who creates them.
const RDS: [&str; 4] = [
    "CREATE TABLE mysql.rds_configuration
     (name VARCHAR(100) PRIMARY KEY, value VARCHAR(100), description VARCHAR(300) NOT NULL)",
    "INSERT INTO mysql.rds_configuration VALUES ('binlog retention hours', NULL,
     'binlog retention hours specifies the duration in hours before binary logs are automatically deleted.')",
    "CREATE PROCEDURE mysql.rds_set_configuration(IN setting VARCHAR(30), IN setting_value INT)
     BEGIN
       IF setting <> 'binlog retention hours' THEN
         SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Invalid configuration name';
       ELSEIF setting_value IS NOT NULL AND (setting_value < 1 OR setting_value > 2160) THEN
         SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
           'For binlog retention hours the value must be between 1 and 2160 inclusive or be NULL';
       ELSE
         UPDATE mysql.rds_configuration SET value = setting_value WHERE name = setting;
       END IF;
     END",
    "CREATE PROCEDURE mysql.rds_show_configuration()
     SELECT name, value, description FROM mysql.rds_configuration",
];

/// What RDS grants its master user.
const MASTER: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER";

/// Fills the folder: certificates, the server's own tables, and what it runs at its first start.
pub(super) async fn prepare(binary: &Binary, folder: &Path, options: &Options) -> Result<()> {
    fs::create_dir(folder.join("tmp")).await?;
    if let Some(authority) = &options.authority {
        let server = authority.issue("localhost");
        fs::write(folder.join("ca.pem"), authority.pem()).await?;
        fs::write(folder.join("server.pem"), server.certificate).await?;
        fs::write(folder.join("server-key.pem"), server.key).await?;
    }
    fs::write(folder.join(INIT), init_file()).await?;
    let pristine = PRISTINE.get_or_try_init(|| Pristine::make(binary)).await?;
    pristine.copy_to(folder).await
}

/// What a new server's data is like. It takes a second or two of a processor, so it is made once a process.
#[derive(Debug)]
struct Pristine {
    folder: PathBuf,
    // A static is never dropped.
    _watchdog: Watchdog,
}

static PRISTINE: OnceCell<Pristine> = OnceCell::const_new();

impl Pristine {
    async fn make(binary: &Binary) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sluice-mysql-").tempdir()?;
        let watchdog = Watchdog::of(folder.path())?;
        fs::create_dir(folder.path().join("tmp")).await?;
        initialise(binary, folder.path()).await?;
        Ok(Self { folder: folder.keep(), _watchdog: watchdog })
    }

    async fn copy_to(&self, folder: &Path) -> Result<()> {
        let mut copy = Command::new("cp");
        copy.arg("-R").arg(self.folder.join("data")).arg(folder);
        let copied = copy.status().await.context("copying a server's data")?;
        ensure!(copied.success(), "copying a server's data: {copied}");
        Ok(())
    }
}

/// Makes the server's own tables: for MariaDB with the scripts that mariadb-install-db runs, less the help texts and
/// the `sys` schema, which take most of its time.
async fn initialise(binary: &Binary, folder: &Path) -> Result<()> {
    let mut command = Command::new(&binary.path);
    command.args(arguments(binary, folder));
    let mut script = String::new();
    match binary.kind {
        Kind::Mysql => {
            command.arg("--initialize-insecure");
        }
        Kind::Mariadb => {
            fs::create_dir(folder.join("data")).await?;
            command.args(["--bootstrap", "--max-allowed-packet=8M"]);
            script.push_str("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n");
            let share = share(&binary.base())?;
            for name in ["mysql_system_tables.sql", "mysql_system_tables_data.sql"] {
                script.push_str(&fs::read_to_string(share.join(name)).await?);
            }
        }
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the database server to make its tables")?;
    let mut input = child.stdin.take().context("the server reads nothing")?;
    // A server that gives up closes the pipe; what it says is better than that.
    let _ = input.write_all(script.as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "making the database server's tables: {}",
        last_lines(&String::from_utf8_lossy(&output.stderr))
    );
    Ok(())
}

fn share(base: &Path) -> Result<PathBuf> {
    for folder in ["share/mysql", "share/mariadb", "share"] {
        let folder = base.join(folder);
        if folder.join("mysql_system_tables.sql").is_file() {
            return Ok(folder);
        }
    }
    bail!("mysql_system_tables.sql was not found under {}/share", base.display())
}

/// The arguments of every run: a small server that survives a kill but not a power cut.
pub(super) fn arguments(binary: &Binary, folder: &Path) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut arguments = vec![
        "--no-defaults".to_owned(),
        format!("--basedir={}", binary.base().display()),
        format!("--datadir={}", path("data")),
        format!("--tmpdir={}", path("tmp")),
        // Some builds name a folder by default that only their package makes.
        format!("--secure-file-priv={}", path("tmp")),
        "--innodb-buffer-pool-size=16M".to_owned(),
        "--innodb-flush-log-at-trx-commit=2".to_owned(),
        "--loose-innodb-log-file-size=8M".to_owned(),
        "--loose-innodb-redo-log-capacity=8M".to_owned(),
    ];
    if runs_as_root(folder) {
        arguments.push("--user=root".to_owned());
    }
    arguments
}

/// Servers refuse to run as root unless they are told to. What was just made belongs to whoever runs this.
fn runs_as_root(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0)
}

/// The arguments to serve with.
pub(super) fn serving(binary: &Binary, folder: &Path, port: u16, options: &Options) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut arguments = vec![
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--socket={}", path("socket")),
        format!("--pid-file={}", path("pid")),
        "--skip-name-resolve".to_owned(),
        "--server-id=1".to_owned(),
        "--log-bin=binlog".to_owned(),
        "--binlog-format=ROW".to_owned(),
        "--binlog-row-image=FULL".to_owned(),
        "--sync-binlog=0".to_owned(),
        "--performance-schema=OFF".to_owned(),
        // MySQL's second port.
        "--loose-mysqlx=OFF".to_owned(),
    ];
    if options.authority.is_some() {
        arguments.extend([
            format!("--ssl-ca={}", path("ca.pem")),
            format!("--ssl-cert={}", path("server.pem")),
            format!("--ssl-key={}", path("server-key.pem")),
        ]);
    } else if binary.kind == Kind::Mysql {
        // It would make certificates of its own.
        arguments.push("--tls-version=".to_owned());
    }
    arguments
}

/// Lets the admin in, who does the rest: a server tells nobody what it couldn't do of its init file, and MySQL cuts a
/// procedure in two at its first semicolon.
fn init_file() -> String {
    let (admin, password) = ADMIN;
    let statements = [create_user(admin, password), grant("ALL", admin)];
    statements.map(|statement| statement + ";\n").concat()
}

/// What the admin says to a new server.
pub(super) fn statements(options: &Options) -> Vec<String> {
    let mut statements =
        vec![create_user(&options.username, &options.password), grant(MASTER, &options.username)];
    if options.rds {
        statements.extend(RDS.map(str::to_owned));
    }
    if let Some(database) = &options.database {
        statements.push(format!("CREATE DATABASE `{}`", database.replace('`', "``")));
    }
    statements
}

fn create_user(name: &str, password: &str) -> String {
    let (name, password) = (literal(name), literal(password));
    format!("CREATE USER {name}@'%' IDENTIFIED BY {password}")
}

fn grant(rights: &str, name: &str) -> String {
    let name = literal(name);
    format!("GRANT {rights} ON *.* TO {name}@'%' WITH GRANT OPTION")
}

fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
    format!("'{text}'")
}

/// The end of a log.
pub(super) fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
