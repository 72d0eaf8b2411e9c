//! The archive of a release: the same bytes from the same sources, and stacks deployed from it without a toolchain.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use stage::cloud::{BUCKET, Cloud, root, tool};
use stage::dms::{Arn, Pace, TaskStatus};
use stage::lambda;
use stage::play::architecture;
use tempfile::TempDir;
use tokio::process::Command;

/// The archive for the processor of this machine, by its name.
fn name() -> String {
    format!("sluice-{}-{}", env!("CARGO_PKG_VERSION"), architecture())
}

/// What a program said, and whether it went well.
async fn said(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    (output.status.success(), said)
}

/// The program behind `make release`.
async fn release(arguments: &[&Path]) -> (bool, String) {
    let mut python = Command::new(tool("python").unwrap());
    said(python.args(["-B", "release"]).args(arguments).current_dir(root())).await
}

/// Makes the archive in a folder, of the functions that are built here.
async fn archive(processor: &str, to: &Path) -> (bool, String) {
    release(&["archive".as_ref(), processor.as_ref(), &lambda::built(), to]).await
}

/// The archive, unpacked.
async fn unpacked(folder: &TempDir) -> PathBuf {
    let (well, text) = archive(&architecture(), folder.path()).await;
    assert!(well, "{text}");
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(format!("{}.tar.gz", name())).current_dir(folder.path());
    assert!(said(&mut tar).await.0);
    folder.path().join(name())
}

#[tokio::test]
async fn the_same_sources_give_the_same_bytes_and_what_does_not_fit_is_refused() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut bytes = Vec::new();
    for folder in &folders {
        let (well, text) = archive(&architecture(), folder.path()).await;
        assert!(well, "{text}");
        let sums = Command::new("sha256sum")
            .args(["--check", "--quiet", &format!("{}.tar.gz.sha256", name())])
            .current_dir(folder.path())
            .status();
        assert!(sums.await.unwrap().success());
        bytes.push(std::fs::read(folder.path().join(format!("{}.tar.gz", name()))).unwrap());
    }
    assert!(bytes[0] == bytes[1], "two archives differ");
    let other = if architecture() == "arm64" { "x86_64" } else { "arm64" };
    let (well, text) = archive(other, folders[0].path()).await;
    assert!(!well && text.contains(&format!("is not built for {other}")), "{text}");
    let (well, text) = release(&["tag".as_ref(), "v99.0.0".as_ref()]).await;
    assert!(!well && text.contains("v99.0.0"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_are_deployed_from_it_with_python_and_no_toolchain() {
    let folder = tempfile::tempdir().unwrap();
    let release = unpacked(&folder).await;
    let sums =
        Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&release).status();
    assert!(sums.await.unwrap().success());
    assert!(!release.join("crates").exists() && !release.join("Cargo.toml").exists());

    // Whoever asks for a toolchain finds one that is of no use.
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in ["cargo", "rustc", "rustup", "cargo-lambda"] {
        let path = bin.join(name);
        std::fs::write(&path, "#!/bin/sh\necho no toolchain here >&2\nexit 97\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let cloud = Cloud::start_at(Pace::immediate()).await.unwrap();
    let mut make = cloud.command("make");
    for inherited in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARCH", "VIRTUAL_ENV"] {
        make.env_remove(inherited);
    }
    make.env("PATH", path).current_dir(&release).args(["--no-print-directory", "deploy"]);
    make.arg(format!("BUCKET={BUCKET}")).arg(format!("SSL_CA={}", cloud.ca_file().unwrap().display()));
    let (well, text) = said(&mut make).await;
    assert!(well, "{text}\n{}", cloud.log());
    let task = Arn::new(&cloud.outputs("sluice-stream").await.unwrap()["ReplicationTaskArn"]);
    assert_eq!(cloud.dms.status(&task), Some(TaskStatus::Running));
    // Nothing was installed but what deploying takes.
    assert!(!release.join(".venv/bin/ministack").exists());
}
