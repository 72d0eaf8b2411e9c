//! Somebody who calls `make`, and what it says.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use stage::cloud::stacks::{Sight, Watch, members, text};
use stage::cloud::{BUCKET, Cloud, root, said, tool};
use stage::dms::Pace;
use stage::dms::{Arn, TaskStatus};
use stage::lambda;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

/// What a command said, and whether it went well.
pub(crate) struct Said {
    well: bool,
    text: String,
}

impl Said {
    /// What it said, having gone well.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert!(self.well, "it failed:\n{}", self.text);
        self.text
    }

    /// What it said, having failed.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert!(!self.well, "it did not fail:\n{}", self.text);
        self.text
    }
}

#[track_caller]
pub(crate) fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[track_caller]
pub(crate) fn assert_silent_about(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(!text.contains(part), "{part:?} in\n{text}");
    }
}

/// Lays out what `make` needs of a checkout for deploying. What it puts beside a function gets into no other archive.
fn check_out(checkout: &Path) -> anyhow::Result<()> {
    lambda::bootstrap("db-init")?;
    for function in std::fs::read_dir(lambda::built())? {
        let function = function?;
        let folder = checkout.join("target/lambda").join(function.file_name());
        std::fs::create_dir_all(&folder)?;
        symlink(function.path().join("bootstrap"), folder.join("bootstrap"))?;
    }
    for name in ["Makefile", "cfn"] {
        symlink(root().join(name), checkout.join(name))?;
    }
    // Its folder `bin` has the programs.
    let python = tool("python")?;
    symlink(python.ancestors().nth(2).unwrap(), checkout.join(".venv"))?;
    Ok(())
}

/// Somebody with a checkout, a cloud, and `make`.
pub(crate) struct Operator {
    pub(crate) cloud: Cloud,
    pub(crate) folder: TempDir,
}

impl Operator {
    pub(crate) async fn new() -> Self {
        let it = Self {
            cloud: Cloud::start_at(Pace::immediate()).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        check_out(&it.folder.path().join("checkout")).unwrap();
        it.make(&["package"]).await.done();
        it
    }

    /// `make` with these arguments, from another folder. The functions are built and, once asked for, packaged: with files
    /// of migrations, anew.
    pub(crate) async fn make(&self, arguments: &[&str]) -> Said {
        self.make_and_type(arguments, "").await
    }

    pub(crate) async fn make_and_type(&self, arguments: &[&str], typed: &str) -> Said {
        self.run(self.cloud.command("make"), arguments, typed).await
    }

    /// The same, with `make` or a program that becomes `make`.
    pub(crate) async fn run(&self, mut command: Command, arguments: &[&str], typed: &str) -> Said {
        for inherited in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
            command.env_remove(inherited);
        }
        let done = ["build", "examples", "package", "package-stream", "package-examples"];
        let has_files = arguments.iter().any(|it| it.starts_with("MIGRATIONS="));
        for done in done.into_iter().chain([".venv/.ready"]) {
            if arguments[0] != done && !(has_files && done == "package") {
                command.args(["-o", done]);
            }
        }
        let mut make = command
            .current_dir(self.folder.path())
            .args(["--no-print-directory", "-C", "checkout"])
            .arg(format!("BUCKET={BUCKET}"))
            .arg(format!("PACKAGED={}", self.folder.path().display()))
            .args(arguments.iter().filter(|it| !it.is_empty()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = make.stdin.take().unwrap();
        // Who doesn't read it has closed its end.
        let _ = input.write_all(typed.as_bytes()).await;
        drop(input);
        let output = make.wait_with_output().await.unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        Said { well: output.status.success(), text: out + &err }
    }

    /// A file with parameters, as `PARAMETERS_FILE` takes it.
    pub(crate) fn parameters(&self, parameters: &Value) -> String {
        let file = self.folder.path().join("parameters.json");
        std::fs::write(&file, parameters.to_string()).unwrap();
        format!("PARAMETERS_FILE={}", file.display())
    }

    /// Adds a migration to a folder of them, which is made where it isn't there. The folder, as `MIGRATIONS` takes it.
    pub(crate) fn migration(&self, file: &str, sql: &str) -> String {
        let folder = self.folder.path().join("schema");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), sql).unwrap();
        format!("MIGRATIONS={}", folder.display())
    }

    /// Runs the AWS command line.
    pub(crate) async fn aws(&self, arguments: &[&str]) {
        let mut aws = self.cloud.command(tool("aws").unwrap());
        said(aws.args(arguments)).await.unwrap();
    }

    /// Tells CloudWatch how far a task is behind, as DMS does.
    pub(crate) async fn is_behind(&self, task: &Arn, metric: &str, seconds: u32) {
        let dms = &self.cloud.dms;
        let instances = dms.call("DescribeReplicationInstances", &json!({}));
        let instances = instances.unwrap();
        let instance = &instances["ReplicationInstances"][0]["ReplicationInstanceIdentifier"];
        let id = task.as_str().rsplit(':').next().unwrap();
        let dimensions = format!(
            "ReplicationInstanceIdentifier={},ReplicationTaskIdentifier={id}",
            instance.as_str().unwrap()
        );
        self.aws(&[
            "cloudwatch",
            "put-metric-data",
            "--namespace=AWS/DMS",
            &format!("--metric-name={metric}"),
            &format!("--value={seconds}"),
            &format!("--dimensions={dimensions}"),
        ])
        .await;
    }

    /// Lets an alarm of a stack ring.
    pub(crate) async fn rings(&self, stack: &str, alarm: &str, reason: &str) {
        let found = self.cloud.resource(stack, alarm).await.unwrap();
        self.aws(&[
            "cloudwatch",
            "set-alarm-state",
            "--state-value=ALARM",
            &format!("--alarm-name={}", text(&found["PhysicalResourceId"])),
            &format!("--state-reason={reason}"),
        ])
        .await;
    }

    /// The names and statuses of all stacks there are, in order.
    pub(crate) async fn stacks(&self) -> Vec<String> {
        let found = self.cloud.cloudformation.ask("DescribeStacks", &[]).await.unwrap();
        let stacks = members(&found["Stacks"]);
        let stacks = stacks.map(|it| format!("{} {}", text(&it["StackName"]), text(&it["StackStatus"])));
        stacks.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Demands that a function has written this to its log.
    pub(crate) async fn has_said(&self, function: &str, text: &str) {
        let (mut watch, mut lines) = (Watch::default(), Vec::new());
        let mut show = |sight| match sight {
            Sight::Function(it) if it.function == function => lines.push(it.line),
            _ => {}
        };
        let look = self.cloud.look("sluice-stream", &mut watch, &mut show);
        look.await.unwrap();
        assert!(lines.iter().any(|it| it.contains(text)), "{lines:#?}");
    }

    /// Waits until a task runs and carries no mark.
    pub(crate) async fn runs(&self, task: &Arn) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.cloud.dms.status(task) != Some(TaskStatus::Running) || self.cloud.dms.is_marked(task) {
            assert!(Instant::now() < until, "{}", self.cloud.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
