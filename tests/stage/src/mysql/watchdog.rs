//! Ends a server whose parent was killed, and so could not end it itself; removes folders that outlive every value.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::{Child, ChildStdin, Command};

/// Reads until the pipe from its parent closes, which is when the parent is gone.
const SCRIPT: &str =
    r#"read -r _; [ -z "$2" ] || { kill -KILL "$2" 2>/dev/null; sleep 0.2; }; rm -rf -- "$1""#;

/// A process that watches this one. Dropped, it is called off.
#[derive(Debug)]
pub(super) struct Watchdog {
    _child: Child,
    _pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Watches; if this process dies, ends the process `id` and removes `folder`.
    pub(super) fn over(id: Option<u32>, folder: &Path) -> Result<Self> {
        let id = id.context("the process has ended already")?;
        Self::start(folder, &id.to_string())
    }

    /// Watches; when this process ends, removes `folder`.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        Self::start(folder, "")
    }

    fn start(folder: &Path, id: &str) -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder)
            .arg(id)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C in the terminal is for its parent.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("starting the watchdog of a database server")?;
        let pipe = child.stdin.take();
        Ok(Self { _child: child, _pipe: pipe })
    }
}
