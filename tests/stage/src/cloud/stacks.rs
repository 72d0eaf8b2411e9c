//! Deploying and deleting stacks, through change sets, and following what happens.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Cloud, FunctionLine, FunctionLog};

/// Something that happened in the cloud, as somebody who watches sees it.
#[derive(Clone, Debug)]
pub enum Sight {
    /// An event of a stack.
    Stack {
        /// When, in seconds since 1970.
        time: f64,
        /// The resource's name in the template, or the stack's.
        resource: String,
        /// Its type.
        kind: String,
        /// Its new status.
        status: String,
        /// Why, where CloudFormation says it.
        reason: String,
    },
    /// A line that a function wrote.
    Function(FunctionLine),
}

impl Sight {
    /// When, in seconds since 1970.
    pub fn time(&self) -> f64 {
        match self {
            Self::Stack { time, .. } => *time,
            Self::Function(line) => line.time,
        }
    }
}

/// A change that can be carried out.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    id: String,
    stack_id: String,
    mode: Mode,
    /// The changes of resources, by the names in the template, in CloudFormation's own form.
    pub changes: BTreeMap<String, Value>,
}

/// What becomes of an update that fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// It is undone.
    RollsBack,
    /// It stays as far as it came: `--disable-rollback`.
    Stays,
}

/// For what CloudFormation waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Until a resource is ready to be used.
    Standard,
    /// Until its call has succeeded, and what becomes of an update that fails: express mode.
    Express(Failure),
}

impl Mode {
    /// The parameters of a call that say so.
    fn config(self) -> Vec<(String, String)> {
        let Self::Express(failure) = self else {
            return Vec::new();
        };
        let stays = (failure == Failure::Stays).to_string();
        let config = [("Mode", "EXPRESS".to_owned()), ("DisableRollback", stays)];
        config.map(|(name, value)| (format!("DeploymentConfig.{name}"), value)).to_vec()
    }
}

/// What one knows already: only what is new is shown.
#[derive(Debug, Default)]
pub struct Watch {
    events: HashSet<String>,
    functions: Option<FunctionLog>,
}

/// The largest template that CloudFormation takes in a call, in bytes. What is larger it fetches from S3.
const LARGEST_BODY: usize = 51_200;

const POLL: Duration = Duration::from_millis(200);

/// Longer than any operation here takes, and shorter than CloudFormation waits for an answer.
const PATIENCE: Duration = Duration::from_secs(600);

impl Cloud {
    /// Creates or updates a stack through a change set, and shows what happens until it has come to an end. The status in
    /// which it ended.
    ///
    /// # Errors
    /// If the change set can't be made, or nothing changes.
    pub async fn deploy(
        &self,
        stack: &str,
        template: &str,
        parameters: &BTreeMap<&str, String>,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        let change_set = self.change_set(stack, template, parameters).await?;
        self.execute(&change_set, Failure::RollsBack, watch, show).await
    }

    /// Makes a change set that creates or updates a stack.
    ///
    /// # Errors
    /// If it can't be made, or nothing changes.
    pub async fn change_set(
        &self,
        stack: &str,
        template: &str,
        parameters: &BTreeMap<&str, String>,
    ) -> anyhow::Result<ChangeSet> {
        self.change_set_in(Mode::Standard, stack, template, parameters).await
    }

    /// The same, of a deployment in this mode.
    ///
    /// # Errors
    /// As [`change_set`](Self::change_set).
    pub async fn change_set_in(
        &self,
        mode: Mode,
        stack: &str,
        template: &str,
        parameters: &BTreeMap<&str, String>,
    ) -> anyhow::Result<ChangeSet> {
        let exists = self.stack(stack).await.is_ok();
        let number = self.change_sets.fetch_add(1, Ordering::Relaxed);
        let name = format!("deploy-{number}");
        let mut asked = vec![
            ("StackName".to_owned(), stack.to_owned()),
            ("ChangeSetName".to_owned(), name.clone()),
            ("ChangeSetType".to_owned(), if exists { "UPDATE" } else { "CREATE" }.to_owned()),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
        ];
        asked.extend(mode.config());
        asked.push(match template.len() <= LARGEST_BODY {
            true => ("TemplateBody".to_owned(), template.to_owned()),
            false => ("TemplateURL".to_owned(), self.upload(template, &name).await?),
        });
        for (number, (key, value)) in parameters.iter().enumerate() {
            let member = format!("Parameters.member.{}", number + 1);
            asked.push((format!("{member}.ParameterKey"), (*key).to_owned()));
            asked.push((format!("{member}.ParameterValue"), value.clone()));
        }
        let asked: Vec<_> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let made = self.cloudformation.ask("CreateChangeSet", &asked).await;
        let made = made.with_context(|| format!("creating a change set for stack {stack}"))?;
        let id = text(&made["Id"]);
        loop {
            let it = self.cloudformation.ask("DescribeChangeSet", &[("ChangeSetName", &id)]).await?;
            match it["Status"].as_str() {
                Some("CREATE_COMPLETE") => {
                    let changes = members(&it["Changes"]).map(|change| &change["ResourceChange"]);
                    let changes = changes.map(|it| (text(&it["LogicalResourceId"]), it.clone())).collect();
                    return Ok(ChangeSet { id, stack_id: text(&made["StackId"]), mode, changes });
                }
                Some("FAILED") => {
                    bail!("the change set of stack {stack} failed: {}", text(&it["StatusReason"]))
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Carries a change set out, and shows what happens until the stack has come to an end. The status in which it ended.
    /// In express mode what becomes of a failure was said when the change set was made.
    ///
    /// # Errors
    /// If it can't be carried out any more.
    pub async fn execute(
        &self,
        change_set: &ChangeSet,
        failure: Failure,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        let stays = (failure == Failure::Stays).to_string();
        let mut asked = vec![("ChangeSetName", change_set.id.as_str())];
        if change_set.mode == Mode::Standard {
            asked.push(("DisableRollback", &stays));
        }
        self.cloudformation.ask("ExecuteChangeSet", &asked).await?;
        self.follow(&change_set.stack_id, watch, show).await
    }

    /// Deletes a stack, and shows what happens until it is gone. The status in which it ended.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn delete(
        &self,
        stack: &str,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        self.delete_in(Mode::Standard, stack, watch, show).await
    }

    /// The same, in this mode.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn delete_in(
        &self,
        mode: Mode,
        stack: &str,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        let stack_id = self.stack_id(stack).await?;
        let mut asked = mode.config();
        asked.push(("StackName".to_owned(), stack_id.clone()));
        let asked: Vec<_> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.cloudformation.ask("DeleteStack", &asked).await?;
        self.follow(&stack_id, watch, show).await
    }

    /// A stack's outputs.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn outputs(&self, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let stack = self.stack(stack).await?;
        Ok(members(&stack["Outputs"]).map(|it| (text(&it["OutputKey"]), text(&it["OutputValue"]))).collect())
    }

    /// Shows what is new.
    ///
    /// # Errors
    /// If the stack's events can't be read.
    pub async fn look(
        &self,
        stack_id: &str,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<()> {
        let events = self.events(stack_id).await?;
        let functions = watch.functions.get_or_insert_with(|| self.function_log());
        let lines = functions.read().into_iter();
        let mut sights: Vec<Sight> = lines.map(Sight::Function).collect();
        // The newest come first.
        for event in events.iter().rev() {
            if watch.events.insert(text(&event["EventId"])) {
                sights.push(sight(event));
            }
        }
        sights.sort_by(|a, b| a.time().total_cmp(&b.time()));
        sights.into_iter().for_each(show);
        Ok(())
    }

    /// Shows what happens until the stack's operation is over. The cloud here has begun one when it answers the call that
    /// asks for it.
    async fn follow(
        &self,
        stack_id: &str,
        watch: &mut Watch,
        show: &mut dyn FnMut(Sight),
    ) -> anyhow::Result<String> {
        let since = Instant::now();
        loop {
            let status = self.status(stack_id).await?;
            ensure!(since.elapsed() < PATIENCE, "stack {stack_id} is still {status}\n{}", self.log());
            self.look(stack_id, watch, show).await?;
            if !status.ends_with("_IN_PROGRESS") {
                ensure!(!status.is_empty(), "stack {stack_id} has no status\n{}", self.log());
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A stack's events, the newest first, in CloudFormation's own form.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn events(&self, stack_id: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.cloudformation.ask("DescribeStackEvents", &[("StackName", stack_id)]).await?;
        Ok(members(&answer["StackEvents"]).cloned().collect())
    }

    /// A stack's status, by its name, or by its id if it may be gone.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn status(&self, stack_id: &str) -> anyhow::Result<String> {
        Ok(text(&self.stack(stack_id).await?["StackStatus"]))
    }

    /// A stack's id, under which it can be asked for when it is gone.
    ///
    /// # Errors
    /// If there is no such stack.
    pub async fn stack_id(&self, stack: &str) -> anyhow::Result<String> {
        Ok(text(&self.stack(stack).await?["StackId"]))
    }

    /// A resource of a stack, by its name in the template, in CloudFormation's own form.
    ///
    /// # Errors
    /// If there is no such resource.
    pub async fn resource(&self, stack: &str, name: &str) -> anyhow::Result<Value> {
        let asked = [("StackName", stack), ("LogicalResourceId", name)];
        let mut answer = self.cloudformation.ask("DescribeStackResource", &asked).await?;
        Ok(answer["StackResourceDetail"].take())
    }

    async fn stack(&self, stack: &str) -> anyhow::Result<Value> {
        let mut answer = self.cloudformation.ask("DescribeStacks", &[("StackName", stack)]).await?;
        Ok(answer["Stacks"][0].take())
    }
}

/// The members of a list, which CloudFormation leaves out, or empty, where there are none.
pub fn members(list: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A value as CloudFormation tells it; empty where it doesn't.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn sight(event: &Value) -> Sight {
    let time = OffsetDateTime::parse(event["Timestamp"].as_str().unwrap_or_default(), &Rfc3339);
    Sight::Stack {
        time: time.map_or(0.0, |time| time.unix_timestamp_nanos() as f64 / 1e9),
        resource: text(&event["LogicalResourceId"]),
        kind: text(&event["ResourceType"]),
        status: text(&event["ResourceStatus"]),
        reason: text(&event["ResourceStatusReason"]),
    }
}
