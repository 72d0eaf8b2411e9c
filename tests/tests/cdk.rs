//! The example of a CDK app, `cfn/examples/cdk`: what it synthesizes, and what CDK's own command does with it in the local
//! cloud. Nothing else needs Node.js: where that is missing, these tests say so and pass.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use stage::cloud::stacks::{members, text};
use stage::cloud::{Cloud, root, said};
use stage::dms::{Arn, Pace, Refusal, StartType, TaskStatus};
use stage::service::Service;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::Instant;

const STACK: &str = "own-stream";

/// The oldest Node.js that this version of CDK runs on.
const OLDEST_NODE: u32 = 20;

/// How many lines Sluice may add to an app.
const MOST_LINES: usize = 20;

fn source() -> PathBuf {
    root().join("cfn/examples/cdk")
}

/// What this machine lacks for CDK.
async fn lack() -> Option<String> {
    let Ok(version) = said(Command::new("node").arg("--version")).await else {
        return Some("there is no node".to_owned());
    };
    let version = version.trim();
    let major = version.trim_start_matches('v').split('.').next().and_then(|it| it.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST_NODE) {
        return Some(format!("node is {version}, and {OLDEST_NODE} is the oldest that will do"));
    }
    said(Command::new("npm").arg("--version")).await.is_err().then(|| "there is no npm".to_owned())
}

/// The app with all that it depends on, compiled and synthesized, in a folder outside of the source. `None` where it
/// can't be.
async fn app() -> Option<&'static Path> {
    static APP: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    let app = APP.get_or_init(|| async {
        if let Some(lack) = lack().await {
            // Not by a macro, whose text the test runner keeps to itself. That nobody can read it is no error.
            let _ = writeln!(std::io::stderr(), "skipped, the CDK example: {lack}");
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cdk");
        install(&folder).await;
        Some(folder)
    });
    app.await.as_deref()
}

/// Installs just what the lock file says, unless that is there, and synthesizes the app with the settings in its cdk.json.
async fn install(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for entry in std::fs::read_dir(source()).unwrap() {
        let entry = entry.unwrap();
        // Folders are what somebody's own npm and cdk have left.
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    let [lock, installed] = ["package-lock.json", "installed.json"].map(|name| folder.join(name));
    let lock = std::fs::read(lock).unwrap();
    if std::fs::read(&installed).ok().as_ref() != Some(&lock) {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--prefer-offline"]).current_dir(folder);
        said(&mut npm).await.unwrap();
        std::fs::write(installed, lock).unwrap();
    }
    let mut cdk = Command::new(folder.join("node_modules/.bin/cdk"));
    for credentials in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        cdk.env_remove(credentials);
    }
    said(alone(&mut cdk, folder).args(["synth", "--quiet", "--output=synthesized"])).await.unwrap();
}

/// Keeps CDK's command from what isn't here: its authors' news, their statistics, the user's own settings.
fn alone<'a>(cdk: &'a mut Command, folder: &Path) -> &'a mut Command {
    let home = folder.join("home");
    std::fs::create_dir_all(&home).unwrap();
    cdk.arg("--no-notices")
        .env("HOME", home)
        .env("CDK_DISABLE_CLI_TELEMETRY", "true")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(folder)
}

/// The app's own code, without what is Sluice's in it, and the lines that are.
fn sluice_lines(code: &str) -> Vec<&str> {
    let mut is_sluices = false;
    let lines = code.lines().map(str::trim).filter(|line| {
        match *line {
            "// ---- Sluice's ----" => is_sluices = true,
            "// ---- Yours ----" => is_sluices = false,
            line => return is_sluices && !line.is_empty(),
        }
        false
    });
    lines.collect()
}

#[tokio::test]
async fn twenty_lines_put_sluice_around_all_of_dms_in_an_app() {
    let Some(app) = app().await else { return };
    let code = std::fs::read_to_string(source().join("stream.ts")).unwrap();
    let lines = sluice_lines(&code);
    assert!((5..=MOST_LINES).contains(&lines.len()), "{}: {lines:#?}", lines.len());
    // What is left doesn't know Sluice.
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.filter(|line| !lines.contains(&line.trim()));
    assert_eq!(code.filter(|line| line.contains("DmsPre") || line.contains("DmsPost")).count(), 0);

    let template = std::fs::read(app.join(format!("synthesized/{STACK}.template.json"))).unwrap();
    let template: Value = serde_json::from_slice(&template).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let waits_for = |name: &str, other: &str| members(&resources[name]["DependsOn"]).any(|it| it == other);
    let mut tasks = 0;
    for (name, resource) in resources {
        let kind = text(&resource["Type"]);
        let is_dms = kind.starts_with("AWS::DMS::");
        let is_task = kind == "AWS::DMS::ReplicationTask";
        assert_eq!(waits_for(name, "DmsPre"), is_dms, "{name}");
        assert_eq!(waits_for("DmsPost", name), is_task, "{name}");
        tasks += usize::from(is_task);
    }
    assert_eq!(tasks, 2);
    let [pre, post] = ["DmsPre", "DmsPost"].map(|name| {
        assert_eq!(resources[name]["Type"], format!("Custom::{name}"));
        let mut properties = resources[name]["Properties"].clone();
        let token = properties["ServiceToken"].take();
        assert_eq!(token, json!({ "Fn::ImportValue": format!("sluice-{name}") }));
        assert_eq!(properties["ServiceTimeout"], "1800");
        properties
    });
    assert_eq!(post["After"], json!({ "Fn::GetAtt": ["DmsPre", "Revision"] }));
    // The time, of this synthesis. A parameter would keep its old value where nobody gives a new one.
    let year = time::OffsetDateTime::now_utc().year().to_string();
    assert!(text(&pre["DeploymentId"]).starts_with(&year), "{pre}");
    assert!(template.get("Parameters").is_none());
}

/// Somebody who has the app, and a cloud with Sluice's handlers, a network and a secret in it.
struct Developer {
    cloud: Cloud,
    app: &'static Path,
    context: Vec<String>,
}

impl Developer {
    async fn new(app: &'static Path) -> Self {
        let cloud = Cloud::start_at(Pace::immediate()).await.unwrap();
        cloud.deploy_handlers().await.unwrap();
        let network = cloud.network("network").await.unwrap();
        let secret = json!({ "Name": "source", "SecretString": "{}" });
        let secrets = Service::secrets_manager(cloud.endpoint());
        let secret = text(&secrets.call("CreateSecret", &secret).await.unwrap()["ARN"]);
        let context = vec![
            format!("--context=subnetIds={}", network["SubnetIds"]),
            format!("--context=securityGroupIds={}", network["SecurityGroupIds"]),
            format!("--context=sourceSecretArn={secret}"),
        ];
        Self { cloud, app, context }
    }

    /// CDK's command, which synthesizes anew.
    async fn cdk(&self, arguments: &[&str]) -> Result<String, String> {
        let mut cdk = self.cloud.command(self.app.join("node_modules/.bin/cdk"));
        // Compiled already.
        alone(&mut cdk, self.app).args(["--app=node build/app.js", "--output=deployed"]);
        said(cdk.args(&self.context).args(arguments)).await
    }

    async fn deploy(&self, table: &str) -> Result<String, String> {
        self.deploy_by(table, &[]).await
    }

    async fn deploy_by(&self, table: &str, options: &[&str]) -> Result<String, String> {
        let table = format!("--context=ordersTable={table}");
        let arguments = ["deploy", "--require-approval=never", &table];
        self.cdk(&[&arguments[..], options].concat()).await
    }

    async fn task(&self, name: &str) -> Arn {
        let found = self.cloud.resource(STACK, name).await.unwrap();
        Arn::new(text(&found["PhysicalResourceId"]))
    }

    /// Waits until a task runs and carries no mark, and tells how it was started each time.
    async fn starts(&self, task: &Arn) -> Vec<StartType> {
        let until = Instant::now() + Duration::from_secs(60);
        let dms = &self.cloud.dms;
        while dms.status(task) != Some(TaskStatus::Running) || dms.is_marked(task) {
            assert!(Instant::now() < until, "{}\n{}", dms.state(), self.cloud.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        dms.runs(task).iter().map(|run| run.start_type).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cdk_deploys_updates_fails_and_destroys_and_the_stream_goes_on() {
    use StartType::{Resume, Start};
    let Some(app) = app().await else { return };
    let developer = Developer::new(app).await;
    let dms = &developer.cloud.dms;

    developer.deploy("orders").await.unwrap();
    let [orders, customers] = [developer.task("OrdersTask").await, developer.task("CustomersTask").await];
    assert_eq!(developer.starts(&orders).await, [Start]);
    assert_eq!(developer.starts(&customers).await, [Start]);

    developer.deploy("orders_%").await.unwrap();
    assert_eq!(developer.cloud.status(STACK).await.unwrap(), "UPDATE_COMPLETE");
    assert_eq!(developer.task("OrdersTask").await, orders);
    assert_eq!(developer.starts(&orders).await, [Start, Resume]);
    assert!(dms.member(&orders, "TableMappings").contains("orders[_]%"));

    // DMS refuses the change. The rollback never comes to DmsPost, and healing resumes the task.
    let refusal = Refusal::new("InvalidParameterValueException", "not these tables");
    dms.fail_next("ModifyReplicationTask", refusal);
    let said = developer.deploy("parcels").await.unwrap_err();
    assert!(said.contains("not these tables"), "{said}");
    assert_eq!(developer.cloud.status(STACK).await.unwrap(), "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(developer.starts(&orders).await, [Start, Resume, Resume]);
    assert!(dms.member(&orders, "TableMappings").contains("orders[_]%"));

    // Nothing of this concerned the other task.
    assert_eq!(developer.starts(&customers).await, [Start]);

    // What docs/cdk.md warns of: a hotswap passes DMS over, and what is no change set pauses all.
    let said = developer.deploy_by("parcels", &["--hotswap"]).await.unwrap();
    assert!(said.contains("(no changes)"), "{said}");
    assert!(dms.member(&orders, "TableMappings").contains("orders[_]%"), "{said}");
    developer.deploy_by("orders_%", &["--method=direct"]).await.unwrap();
    assert_eq!(developer.starts(&orders).await, [Start, Resume, Resume, Resume]);
    assert_eq!(developer.starts(&customers).await, [Start, Resume]);

    developer.cdk(&["destroy", "--force"]).await.unwrap();
    assert!(developer.cloud.status(STACK).await.is_err());
    assert_eq!([dms.status(&orders), dms.status(&customers)], [None, None]);
    assert!(dms.violations().is_empty(), "{:?}", dms.violations());
}

#[test]
fn the_page_shows_the_lines_of_the_example() {
    let page = std::fs::read_to_string(root().join("docs/cdk.md")).unwrap();
    let code = std::fs::read_to_string(source().join("stream.ts")).unwrap();
    let (_, shown) = page.split_once("```ts\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let shown: Vec<&str> = shown.lines().map(str::trim).collect();
    let lines = sluice_lines(&code);
    assert_eq!(shown, lines[1..], "but for the import");
}
