//! The programs that deploy (`cfn/operate`), run against this cloud by somebody who sees what happens meanwhile.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::stacks::{Sight, Watch};
use super::{BUCKET, Cloud, root, tool};
use crate::play::architecture;

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether it went well.
    pub well: bool,
    /// The lines that it wrote, those on standard error last.
    pub lines: Vec<String>,
}

const POLL: Duration = Duration::from_millis(200);

impl Cloud {
    /// Runs one of the programs' commands on the packaged templates, as `make` does, with these parameters. What happens
    /// to the stacks meanwhile is shown; each is a name, or the id of one that may go.
    ///
    /// # Errors
    /// If it can't be run.
    pub async fn operate(
        &self,
        command: &str,
        parameters: &Value,
        stacks: &[&str],
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<Said> {
        let file = self.folder.path().join("parameters.json");
        std::fs::write(&file, parameters.to_string())?;
        let program = self
            .command(tool("python")?)
            .arg("-B")
            .arg(root().join("cfn/operate"))
            .arg(command)
            .env("ARCH", architecture())
            .env("BUCKET", BUCKET)
            .env("PACKAGED", self.folder.path())
            .env("PARAMETERS_FILE", &file)
            .env("YES", "1")
            // `make test` has one, for its own folder.
            .env_remove("TEMPLATE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("running {command}"))?;
        let output = program.wait_with_output();
        let mut output = std::pin::pin!(output);
        let output = loop {
            tokio::select! {
                output = &mut output => break output?,
                () = tokio::time::sleep(POLL) => {}
            }
            for stack in stacks {
                // A stack that is yet to be made has no events.
                let _ = self.look(stack, watch, show).await;
            }
        };
        for stack in stacks {
            let _ = self.look(stack, watch, show).await;
        }
        let lines = [output.stdout, output.stderr].map(|it| {
            let text = String::from_utf8_lossy(&it).into_owned();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        Ok(Said { well: output.status.success(), lines: lines.concat() })
    }
}
