//! The local cloud's driver: starts it, deploys templates into it, and shows what happens there.
//!
//! The cloud is `tests/cloud/launch.py`, a process of its own; the stand-ins for DMS and for RDS run in this one, so that a
//! test can look into them. [`stacks`] is the driver's side of CloudFormation, [`operate`] runs the programs that deploy,
//! [`stream`] is what the stream's stack takes, [`FunctionLog`] what the functions write.

mod functions;
mod network;
pub mod operate;
pub mod stacks;
pub mod stream;

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::dms::{Dms, DmsServer, Pace};
use crate::rds::RdsStandIn;
use crate::service::{ROOT, Service};

pub use functions::{FunctionLine, FunctionLog};

const REGION: &str = "eu-west-1";
/// The bucket there is for the functions.
pub const BUCKET: &str = "sluice-artifacts";

/// A cloud on this machine. Everything of it ends when it is dropped.
pub struct Cloud {
    /// DMS, as the stacks and the handlers see it.
    pub dms: Dms,
    /// The databases behind the stacks' clusters.
    pub rds: RdsStandIn,
    /// CloudFormation.
    pub cloudformation: Service,
    gateway: String,
    folder: TempDir,
    launcher: Child,
    change_sets: AtomicU32,
    dms_server: DmsServer,
}

/// A call of AWS that somebody made in the name of a role.
#[derive(Clone, Debug, Deserialize)]
pub struct RoleCall {
    /// The role's name.
    pub role: String,
    /// The action, in IAM's words.
    pub action: String,
    /// The ARN of what it was about, `*` where it was about nothing in particular.
    pub resource: String,
    /// Whether the role's policies allow it.
    pub allowed: bool,
}

/// The repository's root.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// A program of the project's Python environment.
///
/// # Errors
/// If the environment isn't there (`make setup`).
pub fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("SLUICE_VENV").map_or_else(|| root().join(".venv"), PathBuf::from);
    let tool = folder.join("bin").join(name);
    ensure!(tool.exists(), "{} is not there: run `make setup` first", tool.display());
    Ok(tool)
}

/// What a program says on both its outputs, if it exits with 0.
///
/// # Errors
/// The same, if it doesn't; or why it can't be run.
pub async fn said(program: &mut Command) -> Result<String, String> {
    let output = program.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{program:?}: {error}"))?;
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    if output.status.success() { Ok(said) } else { Err(said) }
}

impl Cloud {
    /// Starts one for people who watch, with nothing in it but a bucket for the templates' artifacts.
    ///
    /// # Errors
    /// If the Python environment isn't there (`make setup`), or the cloud doesn't come up.
    pub async fn start() -> anyhow::Result<Self> {
        let cloud = Self::start_at(Pace::brisk()).await?;
        cloud.replicates();
        Ok(cloud)
    }

    /// Lets tasks move rows from now on, from the databases here to the Kinesis here. Otherwise they only seem to.
    pub fn replicates(&self) {
        self.dms.replicates(&self.gateway, &self.gateway);
    }

    /// The URL of all services here but DMS.
    pub fn endpoint(&self) -> &str {
        &self.gateway
    }

    /// Starts one in which DMS goes at this pace.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_at(pace: Pace) -> anyhow::Result<Self> {
        Self::start_with(pace, &[]).await
    }

    /// Starts one whose CloudFormation takes tags off a task that it updates, unless the template has them. AWS says of its
    /// own neither that it does nor that it does not.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_that_reconciles_tags(pace: Pace) -> anyhow::Result<Self> {
        Self::start_with(pace, &[("SLUICE_RECONCILES_TAGS", "1")]).await
    }

    async fn start_with(pace: Pace, options: &[(&str, &str)]) -> anyhow::Result<Self> {
        let dms = Dms::new(pace);
        let dms_server = DmsServer::start(dms.clone()).await?;
        let rds = RdsStandIn::start().await?;
        let folder = tempfile::tempdir()?;
        let port = free_port().await?;
        let gateway = format!("http://127.0.0.1:{port}");
        let log = File::create(folder.path().join("cloud.log"))?;
        let launcher = Command::new(tool("python")?)
            .arg(root().join("tests/cloud/launch.py"))
            .env("GATEWAY_PORT", port.to_string())
            .env("AWS_REGION", REGION)
            .env("SLUICE_DMS_ENDPOINT", dms_server.endpoint())
            .env("SLUICE_RDS_ENDPOINT", rds.endpoint())
            .env("SLUICE_LAMBDA_LOG", folder.path().join("functions.jsonl"))
            .env("SLUICE_CALL_LOG", folder.path().join("calls.jsonl"))
            .envs(options.iter().copied())
            // It ends when this pipe does, however we end.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting the local cloud")?;
        let cloudformation = Service::cloudformation(&gateway);
        let change_sets = AtomicU32::new(1);
        let mut cloud = Self { dms, rds, cloudformation, gateway, folder, launcher, change_sets, dms_server };
        cloud.wait_until_up(port).await?;
        cloud.aws(&["s3", "mb", &format!("s3://{BUCKET}")]).await?;
        Ok(cloud)
    }

    async fn wait_until_up(&mut self, port: u16) -> anyhow::Result<()> {
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.launcher.try_wait()? {
                bail!("the local cloud ended with {status}:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the local cloud did not come up within a minute:\n{}", self.log())
    }

    /// What the cloud itself has to say; it is silent unless something is wrong.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("cloud.log")).unwrap_or_default()
    }

    /// What a client's environment has to hold for it to talk to this cloud.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.gateway.clone()),
            ("AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE", self.dms_server.endpoint().to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ROOT.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ]
    }

    /// A file with the certificate of the authority that signs for the databases here.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn ca_file(&self) -> std::io::Result<PathBuf> {
        let file = self.folder.path().join("ca.pem");
        std::fs::write(&file, self.rds.ca_pem())?;
        Ok(file)
    }

    /// A program that is to talk to this cloud, whatever the user's own files say.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let none = self.folder.path().join("none");
        let mut command = Command::new(program);
        command
            .envs(self.environment())
            .env("AWS_CONFIG_FILE", &none)
            .env("AWS_SHARED_CREDENTIALS_FILE", &none)
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_REGION")
            .kill_on_drop(true);
        command
    }

    /// Runs the AWS command line against this cloud.
    async fn aws(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut aws = self.command(tool("aws")?);
        let failed = said(aws.args(arguments)).await.err();
        ensure!(failed.is_none(), "aws {}: {failed:?}\n{}", arguments.join(" "), self.log());
        Ok(())
    }

    /// Uploads the functions that a template names, as a deployment to AWS does. The template that refers to them, as
    /// JSON. `template` is a file of `cfn/`, or an absolute path.
    ///
    /// # Errors
    /// If a function isn't built (`make build`).
    pub async fn package(&self, template: &str) -> anyhow::Result<String> {
        let from = root().join("cfn").join(template);
        let to = self.folder.path().join(from.file_name().context("the template is a folder")?);
        let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
        let arguments =
            ["cloudformation", "package", "--template-file", &from, "--s3-bucket", BUCKET, "--use-json"];
        self.aws(&[&arguments[..], &["--output-template-file", &to]].concat()).await?;
        // Without the blanks it may fit into a call.
        let packaged: Value = serde_json::from_str(&std::fs::read_to_string(&*to)?)?;
        Ok(packaged.to_string())
    }

    /// Changes a template that has been packaged, as its owner would change the file.
    ///
    /// # Errors
    /// If it hasn't been.
    pub fn edit_packaged(&self, name: &str, edit: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        let file = self.folder.path().join(name);
        let mut template = serde_json::from_slice(&std::fs::read(&file)?)?;
        edit(&mut template);
        Ok(std::fs::write(file, template.to_string())?)
    }

    /// Puts a template into the bucket, as one does with what is too large for a call. Where it is.
    async fn upload(&self, template: &str, name: &str) -> anyhow::Result<String> {
        let (file, key) = (self.folder.path().join(name), format!("{BUCKET}/{name}"));
        std::fs::write(&file, template)?;
        self.aws(&["s3", "cp", &file.to_string_lossy(), &format!("s3://{key}")]).await?;
        Ok(format!("{}/{key}", self.gateway))
    }

    /// Invokes a function. What it answers.
    ///
    /// # Errors
    /// If it can't be invoked, or what it answers is no JSON document.
    pub async fn invoke(&self, function: &str, payload: &Value) -> anyhow::Result<Value> {
        let answer = self.folder.path().join("answer.json");
        let (name, payload) = (format!("--function-name={function}"), payload.to_string());
        let payload = format!("--payload={payload}");
        self.aws(&["lambda", "invoke", &name, &payload, &answer.to_string_lossy()]).await?;
        Ok(serde_json::from_slice(&std::fs::read(answer)?)?)
    }

    /// The calls that roles made, in order.
    ///
    /// # Errors
    /// If nobody has made any, or their record can't be read.
    pub fn role_calls(&self) -> anyhow::Result<Vec<RoleCall>> {
        let record = std::fs::read_to_string(self.folder.path().join("calls.jsonl"))?;
        let calls = record.lines().map(serde_json::from_str);
        Ok(calls.collect::<Result<_, _>>()?)
    }

    /// What the functions write, from the beginning.
    pub fn function_log(&self) -> FunctionLog {
        FunctionLog::new(self.folder.path().join("functions.jsonl"))
    }
}

async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port())
}
