//! The README's plain commands, as they stand there: neither `make` nor the programs, and no toolchain.

use std::os::unix::fs::symlink;

use stage::cloud::{BUCKET, Cloud, root, said, tool};
use stage::dms::{Arn, Pace, TaskStatus};
use stage::lambda;

/// The commands of the README's section *By hand*.
fn commands() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n### By hand\n\n```sh\n").unwrap();
    let (commands, _) = section.split_once("```").unwrap();
    commands.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_s_plain_commands_deploy_a_stream_that_runs() {
    let cloud = Cloud::start_at(Pace::immediate()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("target")).unwrap();
    symlink(lambda::built(), folder.path().join("target/lambda")).unwrap();
    symlink(root().join("cfn"), folder.path().join("cfn")).unwrap();

    let mut commands = commands();
    let mut replaced = |what: &str, by: &str| {
        assert_eq!(commands.matches(what).count(), 1, "{what}");
        commands = commands.replace(what, by);
    };
    replaced("my-artifacts", BUCKET);
    // They are built.
    replaced("cargo lambda build --release --locked --x86-64 ", "true ");
    // The database here has a certificate of the local cloud's own authority.
    replaced("DatabaseName=app", "DatabaseName=app \"SslCa=$(<\"$CA\")\"");
    let bin = tool("aws").unwrap().parent().unwrap().to_owned();
    let mut bash = cloud.command("/bin/bash");
    bash.args(["-euo", "pipefail", "-c", &commands]).current_dir(folder.path());
    bash.env("CA", cloud.ca_file().unwrap()).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    said(&mut bash).await.unwrap_or_else(|failed| panic!("{failed}\n{}", cloud.log()));

    for stack in ["sluice", "sluice-database", "sluice-db-init", "sluice-stream"] {
        assert_eq!(cloud.status(stack).await.unwrap(), "CREATE_COMPLETE");
    }
    let outputs = cloud.outputs("sluice-stream").await.unwrap();
    assert_eq!(outputs["AlarmTopicArn"], cloud.outputs("sluice").await.unwrap()["AlarmTopicArn"]);
    let task = Arn::new(&outputs["ReplicationTaskArn"]);
    assert_eq!(cloud.dms.status(&task), Some(TaskStatus::Running));
}
