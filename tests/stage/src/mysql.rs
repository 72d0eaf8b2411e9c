//! A MySQL-compatible server to start, dressed as Aurora: a real binlog, TLS with a certificate of its own, the master
//! user of a secret, and RDS's procedures.
//!
//! # Guarantees
//! - Nothing is left behind: the process and its data go when the value is dropped, and a watchdog sees to it when this
//!   process is killed.
//! - It listens on 127.0.0.1 only, under the name `localhost`.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, SslOpts};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

mod binary;
pub mod certificates;
mod setup;
mod watchdog;

use binary::{Binary, Kind};
use certificates::Authority;
use watchdog::Watchdog;

/// How long a server may take to come up; a slow disk in CI needs a part of it.
const STARTUP: Duration = Duration::from_secs(90);

/// The user with every right, for what tests do behind everybody's back.
const ADMIN: (&str, &str) = ("stage", "stage");

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The master user, with the rights that RDS gives it.
    pub username: String,
    /// The master user's password.
    pub password: String,
    /// A database to create.
    pub database: Option<String>,
    /// Whether RDS's procedures are there.
    pub rds: bool,
    /// Who signs the server's certificate; `None` for a server without TLS.
    pub authority: Option<Authority>,
    /// Further arguments; they win.
    pub arguments: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            username: "admin".to_owned(),
            password: "it's a \"secret\" \\ with 100% of §".to_owned(),
            database: None,
            rds: true,
            authority: Some(Authority::new()),
            arguments: Vec::new(),
        }
    }
}

impl Options {
    /// The same, and this argument.
    #[must_use]
    pub fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }
}

/// A running server, or one that was stopped and may be started again.
#[derive(Debug)]
pub struct MysqlServer {
    options: Options,
    binary: Binary,
    port: u16,
    // Before the folder, so that the process is gone when its data goes.
    process: Option<Process>,
    folder: TempDir,
}

#[derive(Debug)]
struct Process {
    child: Child,
    _watchdog: Watchdog,
}

impl Drop for Process {
    /// Waits for the end too: a process that still writes would keep its folder from being removed.
    #[allow(clippy::disallowed_methods, reason = "a drop can't await")]
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        for _ in 0..1000 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl MysqlServer {
    /// Makes a server from nothing, and waits until it answers.
    ///
    /// # Errors
    /// If there is no server on this machine (says what to install), or if it doesn't come up (says its last words).
    pub async fn start(options: Options) -> Result<Self> {
        let binary = Binary::find().await?;
        let folder = tempfile::Builder::new().prefix("sluice-mysql-").tempdir()?;
        let mut server = Self { options, binary, port: 0, process: None, folder };
        setup::prepare(&server.binary, server.folder.path(), &server.options).await?;
        // Somebody else may take the port between the look and the start.
        for _ in 0..3 {
            server.port = free_port()?;
            match server.launch(&[server.init_file()]).await {
                Err(error) if format!("{error:#}").contains("port: ") => {}
                started => {
                    started?;
                    server.dress().await?;
                    return Ok(server);
                }
            }
        }
        bail!("no free port was found")
    }

    /// Starts it again, on the same port and with its data, after [`stop`](Self::stop) or [`kill`](Self::kill).
    ///
    /// # Errors
    /// If it doesn't come up.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill().await?;
        self.launch(&[]).await
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// If it doesn't answer or doesn't end.
    pub async fn stop(&mut self) -> Result<()> {
        let mut admin = self.admin().await?;
        // The answer may be lost, as the server ends the connection too.
        let asked = admin.query_drop("SHUTDOWN").await;
        if let Some(mut process) = self.process.take() {
            let ended = timeout(STARTUP, process.child.wait()).await;
            ended.with_context(|| format!("stopping the database server ({asked:?})"))??;
        }
        Ok(())
    }

    /// Ends it without asking, as a crash would; fine if it isn't running.
    ///
    /// # Errors
    /// If the process can't be ended.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.child.kill().await?;
        }
        Ok(())
    }

    /// Whether it is MySQL itself, and not MariaDB.
    pub fn is_mysql(&self) -> bool {
        self.binary.kind == Kind::Mysql
    }

    /// The name to connect to; the server's certificate is for it.
    pub fn host(&self) -> &'static str {
        "localhost"
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The master user's name.
    pub fn username(&self) -> &str {
        &self.options.username
    }

    /// The master user's password.
    pub fn password(&self) -> &str {
        &self.options.password
    }

    /// The certificate of the authority that signed the server's; nothing if it has no TLS.
    pub fn ca_pem(&self) -> &str {
        self.options.authority.as_ref().map_or("", Authority::pem)
    }

    /// The secret that says all of it, as a cluster's attached secret does.
    pub fn secret(&self) -> serde_json::Value {
        serde_json::json!({
            "engine": "mysql",
            "host": self.host(),
            "port": self.port,
            "username": self.options.username,
            "password": self.options.password,
        })
    }

    /// How the master user connects.
    pub fn opts(&self) -> Opts {
        self.login(&self.options.username, &self.options.password)
    }

    /// A connection of the master user.
    ///
    /// # Errors
    /// If the server doesn't let it in.
    pub async fn connect(&self) -> Result<Conn> {
        Ok(Conn::new(self.opts()).await?)
    }

    /// A connection of a user that may do everything.
    ///
    /// # Errors
    /// If the server doesn't answer.
    pub async fn admin(&self) -> Result<Conn> {
        let (user, password) = ADMIN;
        Ok(Conn::new(self.login(user, password)).await?)
    }

    fn login(&self, user: &str, password: &str) -> Opts {
        let tls = self.options.authority.as_ref().map(|authority| {
            SslOpts::default()
                .with_root_certs(vec![authority.pem().as_bytes().to_vec().into()])
                .with_disable_built_in_roots(true)
        });
        let opts = OptsBuilder::default()
            .ip_or_hostname(self.host())
            .tcp_port(self.port)
            .user(Some(user))
            .pass(Some(password))
            .prefer_socket(false)
            .ssl_opts(tls);
        Opts::from(opts)
    }

    async fn dress(&self) -> Result<()> {
        let mut admin = self.admin().await?;
        for statement in setup::statements(&self.options) {
            admin.query_drop(statement).await?;
        }
        Ok(admin.disconnect().await?)
    }

    async fn launch(&mut self, more: &[String]) -> Result<()> {
        let log = std::fs::File::create(self.log())?;
        let mut command = Command::new(&self.binary.path);
        command
            .args(setup::arguments(&self.binary, self.folder.path()))
            .args(setup::serving(&self.binary, self.folder.path(), self.port, &self.options))
            .args(more)
            .args(&self.options.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let child = command.spawn().context("starting the database server")?;
        let watchdog = Watchdog::over(child.id(), self.folder.path())?;
        self.process = Some(Process { child, _watchdog: watchdog });
        self.wait().await
    }

    async fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let Err(error) = self.admin().await else {
                return Ok(());
            };
            let process = self.process.as_mut().context("the server was not started")?;
            let ended = process.child.try_wait()?;
            if let Some(status) = ended {
                bail!("the database server ended with {status}: {}", self.last_words());
            }
            if start.elapsed() > STARTUP {
                bail!(
                    "the database server is not up after {} s ({error}): {}",
                    STARTUP.as_secs(),
                    self.last_words()
                );
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    fn init_file(&self) -> String {
        format!("--init-file={}", self.folder.path().join(setup::INIT).display())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn last_words(&self) -> String {
        setup::last_lines(&std::fs::read_to_string(self.log()).unwrap_or_default())
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
