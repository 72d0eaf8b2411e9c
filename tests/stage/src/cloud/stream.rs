//! The handlers' stack, and what the stream's takes, where no play makes them.

use std::collections::BTreeMap;

use crate::dms::Arn;
use anyhow::{Context, ensure};
use mysql_async::prelude::Queryable;
use serde_json::json;

use super::Cloud;
use super::stacks::Watch;
use crate::mysql::{MysqlServer, Options};
use crate::play::architecture;
use crate::service::Service;

/// Starts a database server with the table that the writer writes to.
///
/// # Errors
/// If there is none to be had.
pub async fn database() -> anyhow::Result<MysqlServer> {
    let options = Options { database: Some("blog".to_owned()), ..Options::default() };
    let server = MysqlServer::start(options).await?;
    let table = "CREATE TABLE blog.examples (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
                 example VARCHAR(255) NOT NULL)";
    server.connect().await?.query_drop(table).await?;
    Ok(server)
}

impl Cloud {
    /// Deploys the handlers, as the stack `sluice`.
    ///
    /// # Errors
    /// If they aren't built, or can't be deployed.
    pub async fn deploy_handlers(&self) -> anyhow::Result<()> {
        let template = self.package("handlers.yaml").await?;
        let parameters = BTreeMap::from([("Architecture", architecture())]);
        let mut watch = Watch::default();
        let ended = self.deploy("sluice", &template, &parameters, &mut watch, &mut |_| {}).await?;
        ensure!(ended == "CREATE_COMPLETE", "the handlers' stack is {ended}\n{}", self.log());
        Ok(())
    }

    /// Deploys the handlers, and makes the secret and the network that the stream's stack takes for this database. The stack's parameters.
    ///
    /// # Errors
    /// If they can't be made.
    pub async fn stream_parameters(
        &self,
        server: &MysqlServer,
    ) -> anyhow::Result<BTreeMap<&'static str, String>> {
        self.deploy_handlers().await?;
        let secret = json!({ "Name": "database", "SecretString": server.secret().to_string() });
        let secret = Service::secrets_manager(self.endpoint()).call("CreateSecret", &secret).await?;
        let secret = secret["ARN"].as_str().context("a secret without an ARN")?;
        let mut parameters = self.network("network").await?;
        parameters.extend([
            ("SourceSecretArn", secret.to_owned()),
            ("SchemaName", "blog".to_owned()),
            ("CreateDmsVpcRole", "false".to_owned()),
            ("CreateDmsLogsRole", "false".to_owned()),
            ("DeploymentId", "0".to_owned()),
        ]);
        Ok(parameters)
    }

    /// The task that a stack has now.
    ///
    /// # Errors
    /// If it has none.
    pub async fn task_of(&self, stack: &str) -> anyhow::Result<Arn> {
        let found = self.resource(stack, "ReplicationTask").await?;
        Ok(Arn::new(found["PhysicalResourceId"].as_str().context("the stack has no task")?))
    }
}
