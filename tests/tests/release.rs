//! The archive of a release: the same bytes from the same sources, and stacks deployed from it without a toolchain.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stage::cloud::{BUCKET, Cloud, root, said, tool};
use stage::dms::{Arn, Pace, TaskStatus};
use stage::lambda;
use stage::play::architecture;
use tempfile::TempDir;
use tokio::process::Command;

/// The archive for the processor of this machine, by its name.
fn name() -> String {
    format!("sluice-{}-{}", env!("CARGO_PKG_VERSION"), architecture())
}

/// The program behind `make release`.
async fn release(arguments: &[&Path]) -> Result<String, String> {
    let mut python = Command::new(tool("python").unwrap());
    said(python.args(["-B", "release"]).args(arguments).current_dir(root())).await
}

/// Makes the archive in a folder, of the functions that are built here.
async fn archive(processor: &str, to: &Path) -> Result<String, String> {
    release(&["archive".as_ref(), processor.as_ref(), &lambda::built(), to]).await
}

/// Demands that files are what their checksums say.
async fn adds_up(folder: &Path, sums: &str) {
    let mut check = Command::new("sha256sum");
    said(check.args(["--check", "--quiet", sums]).current_dir(folder)).await.unwrap();
}

/// The archive, unpacked.
async fn unpacked(folder: &TempDir) -> PathBuf {
    archive(&architecture(), folder.path()).await.unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(format!("{}.tar.gz", name())).current_dir(folder.path());
    said(&mut tar).await.unwrap();
    folder.path().join(name())
}

#[tokio::test]
async fn the_same_sources_give_the_same_bytes_and_what_does_not_fit_is_refused() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut bytes = Vec::new();
    for folder in &folders {
        archive(&architecture(), folder.path()).await.unwrap();
        adds_up(folder.path(), &format!("{}.tar.gz.sha256", name())).await;
        bytes.push(std::fs::read(folder.path().join(format!("{}.tar.gz", name()))).unwrap());
    }
    assert!(bytes[0] == bytes[1], "two archives differ");
    let other = if architecture() == "arm64" { "x86_64" } else { "arm64" };
    let refusal = archive(other, folders[0].path()).await.unwrap_err();
    assert!(refusal.contains(&format!("is not built for {other}")), "{refusal}");
    let refusal = release(&["tag".as_ref(), "v99.0.0".as_ref()]).await.unwrap_err();
    assert!(refusal.contains("v99.0.0"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_are_deployed_from_it_with_python_and_no_toolchain() {
    let folder = tempfile::tempdir().unwrap();
    let release = unpacked(&folder).await;
    adds_up(&release, "SHA256SUMS").await;
    assert!(!release.join("crates").exists() && !release.join("Cargo.toml").exists());
    assert!(release.join("cfn/operate/assumptions.yaml").exists());

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
    let schema = folder.path().join("schema");
    std::fs::create_dir(&schema).unwrap();
    std::fs::write(schema.join("V7__orders.sql"), "CREATE TABLE orders (id INT PRIMARY KEY);").unwrap();
    make.arg(format!("MIGRATIONS={}", schema.display()));
    said(&mut make).await.unwrap_or_else(|failed| panic!("{failed}\n{}", cloud.log()));
    let task = Arn::new(&cloud.outputs("sluice-stream").await.unwrap()["ReplicationTaskArn"]);
    assert_eq!(cloud.dms.status(&task), Some(TaskStatus::Running));
    assert_eq!(cloud.outputs("sluice-db-init").await.unwrap()["SchemaVersion"], "7");
    // Nothing was installed but what deploying takes.
    assert!(!release.join(".venv/bin/ministack").exists());
}
