//! A function, and everything around it, with one fault in it.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use stage::aws::{self, Aws};
use stage::callback::Callback;
use stage::dms::{Arn, TaskStatus};
use stage::dms::{Dms, Pace};
use stage::gate::{Gate, Way};
use stage::http::Server;
use stage::lambda::{self, Function};
use stage::mysql::MysqlServer;
use stage::request;
use stage::secrets::{Secret, SecretsManager};
use stage::stack::{STACK, Stack};
use tokio::process::Command;

use super::fault::{Fault, Neighbour, What};

const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:database-Ab1";

/// A value in a statement: it must be nowhere.
pub(super) const IN_THE_SQL: &str = "in-the-sql";

/// One fault, one function, one request.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) fault: &'static Fault,
    pub(super) resource: &'static str,
    pub(super) kind: &'static str,
    pub(super) number: usize,
}

impl Case {
    /// The function's name.
    pub(super) fn function(&self) -> &'static str {
        match self.resource {
            "DbInit" => "db-init",
            "DmsPre" => "dms-pre",
            _ => "dms-post",
        }
    }
}

/// What a function talks to, each behind a gate.
pub(super) struct World {
    pub(super) case: Case,
    pub(super) callback: Callback,
    way_back: Gate,
    cloudformation: Gate,
    dms: Gate,
    secrets_manager: Gate,
    database: Gate,
    inside_dms: Dms,
    properties: Value,
    // What keeps the neighbours alive.
    _neighbours: (Server, SecretsManager),
    folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn with(case: Case, mysql: &MysqlServer) -> Self {
        let stack = Stack::new("UPDATE_IN_PROGRESS");
        let dms = Dms::new(pace(case.fault));
        let task = task(&dms, case.resource);
        stack.has("Orders", &task);
        let callback = Callback::start().await.unwrap();
        if let What::Status(status) = case.fault.what {
            callback.answers([status]);
        }
        let aws = aws::serve(Aws::new(&dms, &stack)).await.unwrap();
        let secrets = SecretsManager::start().await.unwrap();
        let gate = |neighbour, to: &str| Gate::before(to, ways(&case, neighbour)).unwrap();
        let database = gate(Neighbour::Database, &format!("{}:{}", mysql.host(), mysql.port()));
        let mut secret = mysql.secret();
        secret["port"] = json!(database.port());
        secrets.keep(SECRET, Secret::Text(secret.to_string()));
        Self {
            way_back: gate(Neighbour::Callback, callback.endpoint()),
            cloudformation: gate(Neighbour::CloudFormation, aws.endpoint()),
            dms: gate(Neighbour::Dms, aws.endpoint()),
            secrets_manager: gate(Neighbour::SecretsManager, secrets.endpoint()),
            properties: properties(&case, mysql),
            case,
            callback,
            database,
            inside_dms: dms,
            _neighbours: (aws, secrets),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The request that the function gets.
    pub(super) fn event(&self) -> Value {
        let url = self.callback.url();
        let url = url.replace(self.callback.endpoint(), &self.way_back.endpoint());
        request::event(self.case.kind, self.case.resource, &url, &self.properties)
    }

    /// Starts the function.
    ///
    /// # Errors
    /// If its program can't be executed.
    pub(super) async fn function(&self) -> std::io::Result<Function> {
        let program = match self.case.fault.what {
            What::NoInterpreter => self.without_interpreter(),
            _ => lambda::bootstrap(self.case.function()).unwrap(),
        };
        let mut command = match self.case.fault.what {
            // In kB: enough to work with, and less than what an answer that never ends takes.
            What::Memory => limited("ulimit -v 400000", &program),
            // No file is left of a process that aborts.
            What::Signal(_) => limited("ulimit -c 0", &program),
            _ => Command::new(&program),
        };
        let (cloudformation, dms) = (self.cloudformation.endpoint(), self.dms.endpoint());
        let secrets_manager = self.secrets_manager.endpoint();
        let mut environment = vec![
            ("AWS_ENDPOINT_URL_CLOUDFORMATION", cloudformation.as_str()),
            ("AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE", &dms),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets_manager),
            ("RUST_LOG", "trace"),
        ];
        if matches!(self.case.fault.what, What::BadEnvironment) {
            environment.push(("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "much"));
        }
        Function::run(self.case.function(), &mut command, &environment).await
    }

    /// What happens to the process from outside: its signal, if it is to get one, in the middle of its work.
    pub(super) async fn strike(&self, process: u32, mysql: &MysqlServer) {
        let What::Signal(signal) = self.case.fault.what else {
            return;
        };
        while !self.is_at_work(mysql).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut kill = Command::new("kill");
        kill.args([format!("-{signal}"), process.to_string()]);
        assert!(kill.status().await.unwrap().success());
    }

    /// Whether the function has begun to change things.
    async fn is_at_work(&self, mysql: &MysqlServer) -> bool {
        match self.case.resource {
            "DmsPre" => self.inside_dms.calls("StopReplicationTask") > 0,
            "DmsPost" => self.inside_dms.calls("StartReplicationTask") > 0,
            _ => {
                let waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = ? AND info LIKE '%SLEEP(%'";
                let mut conn = mysql.admin().await.unwrap();
                let found: Option<u32> = conn.exec_first(waiting, (name(&self.case),)).await.unwrap();
                found != Some(0)
            }
        }
    }

    /// The function for last words is outside the VPC: whatever was in the other's way isn't in its.
    pub(super) fn clears(&self) {
        self.way_back.opens().unwrap();
    }

    /// What is different in each run of the same case.
    pub(super) fn specifics(&self) -> Vec<String> {
        let gates = [&self.way_back, &self.cloudformation, &self.dms, &self.secrets_manager];
        let mut all: Vec<String> =
            gates.map(|gate| gate.endpoint().trim_start_matches("http://").to_owned()).into();
        all.extend([
            format!("localhost:{}", self.database.port()),
            name(&self.case),
            STACK.to_owned(),
            SECRET.to_owned(),
            self.case.function().to_owned(),
        ]);
        all
    }

    fn without_interpreter(&self) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join("bootstrap");
        std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

fn limited(limit: &str, program: &std::path::Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{limit} && exec \"$0\"")]).arg(program);
    command
}

/// Where a process is struck, nothing that it has begun ends by itself.
fn pace(fault: &Fault) -> Pace {
    let for_ever = Duration::from_secs(3600);
    match fault.what {
        What::Signal(_) => Pace { stop: for_ever, start: for_ever, ..Pace::immediate() },
        _ => Pace::immediate(),
    }
}

/// A task that gives the function something to do.
fn task(dms: &Dms, resource: &str) -> Arn {
    if resource == "DmsPost" {
        let orders = dms.add_task("orders", TaskStatus::Stopped);
        dms.mark(&orders, "r-1");
        orders
    } else {
        dms.add_task("orders", TaskStatus::Running)
    }
}

fn properties(case: &Case, mysql: &MysqlServer) -> Value {
    match (case.resource, &case.fault.what) {
        ("DmsPre", _) => json!({ "DeploymentId": "7" }),
        ("DmsPost", _) => json!({ "After": "r-1-0" }),
        (_, what) => {
            let sql = format!("DO SLEEP(60 + LENGTH('{IN_THE_SQL}'))");
            let migrations = match what {
                What::Signal(_) => json!([{ "Version": "1", "Name": "wait", "Sql": sql }]),
                _ => json!([]),
            };
            json!({
                "SecretArn": SECRET, "Database": name(case), "SslCa": mysql.ca_pem(), "Migrations": migrations,
            })
        }
    }
}

/// Each case has a database of its own.
fn name(case: &Case) -> String {
    format!("case_{}", case.number)
}

fn ways(case: &Case, neighbour: Neighbour) -> &'static [Way] {
    match case.fault.what {
        What::Way(faulty, ways) if faulty == neighbour => ways,
        What::Memory if matches!(neighbour, Neighbour::CloudFormation | Neighbour::SecretsManager) => {
            &[Way::Endless]
        }
        _ => &[Way::Open],
    }
}
