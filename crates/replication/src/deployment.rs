//! The operation on the stack that tasks are stopped for.

use anyhow::ensure;

use crate::observe;
use crate::stack::{Stack, StackStatus};

/// The request that stops tasks for a deployment, which is to resume them.
pub(crate) struct Deployment<'a, S> {
    pub(crate) stack: &'a S,
    pub(crate) stack_id: &'a str,
    /// The resource that the request is about.
    pub(crate) logical_id: &'a str,
    /// The mark's value.
    pub(crate) request_id: &'a str,
    /// The stack's status when the tasks were read, and the change set that it was last updated by.
    pub(crate) operation: (StackStatus, Option<String>),
    /// The resource's status then.
    pub(crate) status: String,
}

/// Why a request stops nothing.
pub(crate) const ANSWERED: &str =
    "no further task is stopped: CloudFormation does not wait for this request any more";

impl<S: Stack> Deployment<'_, S> {
    /// Whether it is an update that is being undone.
    pub(crate) fn is_rolling_back(&self) -> bool {
        self.operation.0.is_rolling_back()
    }

    /// Fails if nobody waits for the request any more: the stack has moved on, or the request was delivered twice and the
    /// other one has answered. What runs by now is to run.
    pub(crate) async fn is_awaited(&self) -> anyhow::Result<()> {
        let resources = self.stack.resources(self.stack_id);
        let (resources, under_way) = futures::join!(resources, self.is_under_way());
        under_way?;
        let resources = resources?;
        let is_same = observe::status_of(&resources, self.logical_id) == self.status;
        let is_answered = observe::is_answered(&resources, self.logical_id);
        ensure!(is_same && !is_answered, ANSWERED);
        Ok(())
    }

    /// Fails if the stack has moved on: the deployment is over, or is being undone. Then whoever works on the stack by now
    /// may have been called, and has read the marks, or is about to.
    pub(crate) async fn is_under_way(&self) -> anyhow::Result<()> {
        let now = observe::status(self.stack, self.stack_id).await?;
        ensure!(now == self.operation, ANSWERED);
        Ok(())
    }
}
