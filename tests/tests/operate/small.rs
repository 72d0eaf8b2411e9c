//! Stacks that are made in a moment: what becomes of parameters, of failures without rollback, of protected stacks, and
//! of a profile with MFA. Their templates take the place of Sluice's, with parameters and outputs of the same names.

use anyhow::Result;
use serde_json::Value;
use stage::cloud::stacks::{Failure, Watch, members, text};
use stage::cloud::{BUCKET, root, said as said_by, tool};

use crate::operator::{Operator, assert_says, assert_silent_about};

/// A stack that others take nothing from.
const HANDLERS: &str = "
Resources:
  It: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: it}}
";

/// A stack with outputs of a database's.
const DATABASE: &str = "
Parameters:
  MasterUsername: {Type: String, Default: sg-2}
Resources:
  It: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !Ref MasterUsername}}
Outputs:
  SubnetIds: {Value: subnet-1}
  SecurityGroupIds: {Value: !Ref MasterUsername, Export: {Name: group}}
";

/// One that takes them.
const TAKES: &str = "
Parameters:
  SubnetIds: {Type: String}
  SecurityGroupIds: {Type: String}
Resources:
  It: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !Sub '${SubnetIds} ${SecurityGroupIds}'}}
";

/// What no update gets over.
const FAILS: &str = "  Fails: {Type: AWS::DMS::ReplicationTask, Properties: {MigrationType: cdc}}\n";

impl Operator {
    fn has_template(&self, kind: &str, text: &str) {
        std::fs::write(self.packaged(kind), text).unwrap();
    }

    fn packaged(&self, kind: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{kind}.yaml"))
    }

    async fn described(&self, stack: &str) -> Value {
        let found = self.cloud.cloudformation.ask("DescribeStacks", &[("StackName", stack)]).await;
        found.unwrap()["Stacks"][0].clone()
    }

    /// Demands that there is no change set that could still be executed.
    async fn leaves_no_change_set(&self, stack: &str) {
        let found = self.cloud.cloudformation.ask("ListChangeSets", &[("StackName", stack)]).await.unwrap();
        assert!(
            members(&found["Summaries"]).all(|it| text(&it["ExecutionStatus"]) != "AVAILABLE"),
            "{found}"
        );
    }

    /// Deploys a kind's template by other means than these programs. The status in which it ends.
    async fn deploys_otherwise(
        &self,
        stack: &str,
        kind: &str,
        group: &str,
        failure: Failure,
    ) -> Result<String> {
        let template = std::fs::read_to_string(self.packaged(kind))?;
        let parameters = [("SubnetIds", "subnet-1"), ("SecurityGroupIds", group)];
        let parameters = parameters.map(|(name, value)| (name, value.to_owned())).into();
        let change_set = self.cloud.change_set(stack, &template, &parameters).await?;
        self.cloud.execute(&change_set, failure, &mut Watch::default(), &mut |_| {}).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_was_given_keeps_its_value_and_the_others_follow_the_stack_that_tells_them() {
    let operator = Operator::new().await;
    for (kind, text) in [("handlers", HANDLERS), ("database", DATABASE), ("stream", TAKES)] {
        operator.has_template(kind, text);
    }
    operator.make(&["deploy-handlers"]).await.done();
    let group = async || {
        let stack = operator.described("sluice-stream").await;
        let mut all = members(&stack["Parameters"]);
        let it = all.find(|it| text(&it["ParameterKey"]) == "SecurityGroupIds");
        text(&it.unwrap()["ParameterValue"])
    };
    let mut said_before = "";
    for (database_says, given, fails, comes_to) in [
        ("sg-2", "", false, "sg-2"),
        ("sg-3", "", false, "sg-3"),
        // What is rolled back was never given.
        ("sg-3", "sg-9", true, "sg-3"),
        ("sg-4", "", false, "sg-4"),
        ("sg-4", "sg-1", false, "sg-1"),
        ("sg-4", "", false, "sg-1"),
        ("sg-5", "", false, "sg-1"),
        // And it stays what it was before.
        ("sg-5", "sg-9", true, "sg-1"),
        ("sg-6", "", false, "sg-1"),
        // Whoever gives what the other stack says follows it again.
        ("sg-6", "sg-6", false, "sg-6"),
        ("sg-7", "", false, "sg-7"),
    ] {
        if database_says != said_before {
            let says = format!("PARAMETERS=MasterUsername={database_says}");
            operator.make(&["deploy-database", &says]).await.done();
            said_before = database_says;
        }
        let given = if given.is_empty() { "" } else { &format!("PARAMETERS=SecurityGroupIds={given}") };
        operator.has_template("stream", &(TAKES.to_owned() + if fails { FAILS } else { "" }));
        let planned = operator.make(&["plan", given]).await.done();
        let said = operator.make(&["deploy-stream", given]).await;
        let said = if fails { said.failed() } else { said.done() };
        assert_eq!(group().await, comes_to, "{said}");
        let nothing = "sluice-stream: nothing to change";
        assert_eq!(planned.contains(nothing), said.contains(nothing), "{planned}\n{said}");
    }

    // Nobody noted what other means were given: what differs is taken for somebody's will.
    operator.deploys_otherwise("sluice-stream", "stream", "sg-8", Failure::RollsBack).await.unwrap();
    let said = operator.make(&["deploy-stream"]).await.done();
    assert_says(
        &said,
        &["SecurityGroupIds stays sg-8, though sluice-database says sg-7: name it in PARAMETERS"],
    );
    assert_eq!(group().await, "sg-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_without_rollback_it_goes_on_as_cloudformation_lets_it_or_the_way_back_is_shown() {
    const GOES_ON: &str = "sluice-db-init is UPDATE_FAILED: it goes on from there, without rollback";
    let operator = Operator::new().await;
    operator.has_template("database", DATABASE);
    operator.has_template("db-init", TAKES);
    for stack in ["database", "db-init"] {
        operator.make(&[&format!("deploy-{stack}")]).await.done();
    }
    let fails = async || {
        operator.has_template("db-init", &(TAKES.to_owned() + FAILS));
        let said = operator.make(&["deploy-db-init"]).await.failed();
        assert_says(&said, &["sluice-db-init: UPDATE_FAILED after", "first failure: Fails: "]);
    };
    fails().await;
    operator.has_template("db-init", TAKES);
    // The local cloud refuses what CloudFormation does.
    let refused = operator.deploys_otherwise("sluice-db-init", "db-init", "sg-3", Failure::RollsBack).await;
    let refused = format!("{:#}", refused.unwrap_err());
    assert_says(&refused, &["non-terminal [UPDATE_FAILED] state"]);
    operator.has_template("db-init", &TAKES.replace("Value: ", "Description: what, Value: "));
    let said = operator.make(&["deploy-db-init"]).await.done();
    assert_says(&said, &[GOES_ON, "sluice-db-init: UPDATE_COMPLETE after"]);

    fails().await;
    let replaces = TAKES.replace("Value: ", "Name: /another, Value: ");
    operator.has_template("db-init", &replaces);
    let way_back = [
        "sluice-db-init is UPDATE_FAILED",
        "This would replace It. Roll it back, then deploy again",
        "aws cloudformation rollback-stack --stack-name sluice-db-init",
    ];
    assert_says(&operator.make(&["deploy-db-init"]).await.failed(), &way_back);
    operator.leaves_no_change_set("sluice-db-init").await;
    let ended =
        operator.deploys_otherwise("sluice-db-init", "db-init", "sg-2", Failure::Stays).await.unwrap();
    assert_eq!(ended, "UPDATE_FAILED");
    let said = operator.make(&["status"]).await.done();
    assert_says(
        &said,
        &["first failure: It: Replacement type updates not supported on stack with disable-rollback."],
    );

    operator.aws(&["cloudformation", "rollback-stack", "--stack-name=sluice-db-init"]).await;
    operator.aws(&["cloudformation", "wait", "stack-rollback-complete", "--stack-name=sluice-db-init"]).await;
    let said = operator.make(&["status"]).await.done();
    assert_says(
        &said,
        &["UPDATE_ROLLBACK_COMPLETE since", "last operation: rollback after UPDATE_FAILED: began"],
    );
    let said = operator.make(&["deploy-db-init"]).await.done();
    assert_says(
        &said,
        &["with rollback this time, since It would not be replaced without", "UPDATE_COMPLETE"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_would_keep_stacks_from_being_deleted_is_found_before_one_is() {
    const FOLLOWS: &str = "Parameters:\n  SchemaName: {Type: String}\n";
    const TABLE: &str = "
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      DeletionProtectionEnabled: true
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
";
    let operator = Operator::new().await;
    let db_init = format!("{TAKES}Outputs:\n  SchemaName: {{Value: app}}\n");
    let stream = format!("{FOLLOWS}{HANDLERS}");
    for (kind, text) in [
        ("handlers", HANDLERS),
        ("database", DATABASE),
        ("db-init", &db_init),
        ("stream", &(stream.clone() + TABLE)),
        ("archive", &TAKES.replace("!Sub '${SubnetIds} ${SecurityGroupIds}'", "!ImportValue group")),
    ] {
        operator.has_template(kind, text);
    }
    operator.make(&["deploy"]).await.done();
    operator.deploys_otherwise("theirs", "archive", "sg-2", Failure::RollsBack).await.unwrap();
    let protect = ["cloudformation", "update-termination-protection", "--stack-name=sluice-db-init"];
    operator.aws(&[&protect[..], &["--enable-termination-protection"]].concat()).await;

    let before = operator.stacks().await;
    assert_eq!(before.len(), 5);
    let said = operator.make(&["destroy", "YES=1"]).await.failed();
    let parts = [
        "Nothing was deleted:",
        "sluice-stream: Table (AWS::DynamoDB::Table, ",
        "is protected from deletion (DeletionProtectionEnabled is True): deploy the stack without that first",
        "sluice-db-init is protected from termination:",
        "update-termination-protection --no-enable-termination-protection --stack-name sluice-db-init",
        "sluice-database exports group to theirs: ",
        "aws cloudformation delete-stack --stack-name theirs",
    ];
    assert_says(&said, &parts);
    assert_eq!(operator.stacks().await, before);

    operator.aws(&[&protect[..], &["--no-enable-termination-protection"]].concat()).await;
    operator.aws(&["cloudformation", "delete-stack", "--stack-name=theirs"]).await;
    operator.has_template("stream", &stream);
    operator.make(&["deploy-stream"]).await.done();
    operator.make(&["destroy", "YES=1"]).await.done();
    assert!(operator.stacks().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_with_mfa_asks_once_and_what_is_not_carried_out_is_taken_back() {
    const CODE: &str = "123456\n";
    const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [
      {"Effect": "Allow", "Action": "*", "Resource": "*"},
      {"Effect": "Deny", "Action": "cloudformation:ExecuteChangeSet", "Resource": "*"}]}"#;
    const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [
      {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}"#;
    // The question is put to the terminal, and these tests may run in one.
    const ALONE: &str = "import os, sys; os.setsid(); os.execvp('make', ['make', *sys.argv[1:]])";
    let operator = Operator::new().await;
    operator
        .aws(&["iam", "create-role", "--role-name=deployer", "--assume-role-policy-document", TRUST])
        .await;
    operator
        .aws(&[
            "iam",
            "put-role-policy",
            "--role-name=deployer",
            "--policy-name=it",
            "--policy-document",
            POLICY,
        ])
        .await;
    let config = operator.folder.path().join("config");
    let profiles = "[profile keys]\naws_access_key_id = local\naws_secret_access_key = local\n\
                    [profile deployer]\nrole_arn = arn:aws:iam::000000000000:role/deployer\n\
                    mfa_serial = arn:aws:iam::000000000000:mfa/me\nsource_profile = keys\n";
    std::fs::write(&config, profiles).unwrap();
    let make = async |target, typed| {
        let mut alone = operator.cloud.command(tool("python").unwrap());
        alone.args(["-c", ALONE]).env("AWS_CONFIG_FILE", &config).env("HOME", operator.folder.path());
        alone
            .env("AWS_PROFILE", "deployer")
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY");
        operator.run(alone, &[target], typed).await
    };
    // It looks for the bucket, and then `aws` uploads three templates.
    let said = make("package-stream", CODE).await.done();
    assert_eq!(said.matches("Enter MFA code").count(), 1, "{said}");
    operator.has_template("database", DATABASE);
    let said = make("deploy-database", "").await.failed();
    assert_says(&said, &["ExecuteChangeSet"]);
    assert_silent_about(&said, &["Enter MFA code", "Traceback"]);
    assert!(operator.stacks().await.is_empty());

    // Somebody presses Ctrl-C before it is carried out.
    const INTERRUPTED: &str = "
import runpy, sys, events
def newest(stack):
    raise KeyboardInterrupt
events.newest, sys.argv = newest, ['operate', 'deploy-database']
runpy.run_path('cfn/operate/__main__.py', run_name='__main__')
";
    let mut python = operator.cloud.command(tool("python").unwrap());
    let programs = root().join("cfn/operate");
    python
        .current_dir(root())
        .args(["-B", "-c", INTERRUPTED])
        .env("PYTHONPATH", &programs)
        .env("PACKAGED", operator.folder.path());
    let interrupted = said_by(python.env("BUCKET", BUCKET)).await.unwrap_err();
    assert_says(&interrupted, &["Interrupted"]);
    assert!(operator.stacks().await.is_empty());
}
