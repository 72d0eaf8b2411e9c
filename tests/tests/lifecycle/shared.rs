//! The cloud that the cases share. It lasts for as long as one of them plays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::Value;
use stage::cloud::Cloud;
use stage::dms::Pace;
use tokio::runtime::Runtime;

/// What every case finds.
pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    /// `cfn/stream.yaml`.
    pub(crate) template: Value,
    /// Its parameters.
    pub(crate) parameters: BTreeMap<&'static str, String>,
}

struct Shared {
    stage: Stage,
    // Below the stage, which ends first.
    runtime: Runtime,
}

/// Plays a case. Whoever comes first sets the stage, whoever goes last takes it down, also in a panic.
pub(crate) fn on_stage(case: impl AsyncFnOnce(&Stage)) {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    play(&SHARED, Cloud::start_at(pace()), case);
}

/// Plays a case on a stage where no other case plays.
pub(crate) fn alone(case: impl AsyncFnOnce(&Stage)) {
    play(&Mutex::new(Weak::new()), Cloud::start_at(pace()), case);
}

/// Plays a case on a stage of its own kind: CloudFormation takes tags off a task that it updates, unless the template has
/// them.
pub(crate) fn where_tags_are_reconciled(case: impl AsyncFnOnce(&Stage)) {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    play(&SHARED, Cloud::start_that_reconciles_tags(pace()), case);
}

fn play(
    shared: &Mutex<Weak<Shared>>,
    cloud: impl Future<Output = anyhow::Result<Cloud>>,
    case: impl AsyncFnOnce(&Stage),
) {
    let shared = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let runtime = Runtime::new().unwrap();
            let stage = runtime.block_on(set(cloud));
            let new = Arc::new(Shared { stage, runtime });
            *shared = Arc::downgrade(&new);
            new
        })
    };
    shared.runtime.block_on(case(&shared.stage));
}

async fn set(cloud: impl Future<Output = anyhow::Result<Cloud>>) -> Stage {
    let cloud = cloud.await.unwrap();
    cloud.deploy_handlers().await.unwrap();
    let template = cloud.package("stream.yaml").await.unwrap();
    let mut parameters = cloud.network("network").await.unwrap();
    // Nobody looks into the database here.
    let secret = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:database";
    parameters.extend([
        ("SourceSecretArn", secret.to_owned()),
        ("SchemaName", "blog".to_owned()),
        // A name that an account has once, and here are many stacks.
        ("CreateDmsVpcRole", "false".to_owned()),
    ]);
    Stage { cloud, template: serde_json::from_str(&template).unwrap(), parameters }
}

/// Nobody watches, so it is quicker than the demo. But starts and connection tests last for longer than the second between
/// two polls: dms-post doubts for half a minute a failure or a test that it has not seen coming.
pub(crate) fn pace() -> Pace {
    Pace {
        create: Duration::from_millis(300),
        start: Duration::from_millis(1_200),
        stop: Duration::from_millis(600),
        modify: Duration::from_millis(500),
        delete: Duration::from_millis(300),
        connection_test: Duration::from_millis(2_500),
        lag: Duration::from_millis(300),
        ..Pace::brisk()
    }
}
