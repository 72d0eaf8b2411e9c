//! The stream's stack, where no database stack makes what it takes.

use std::collections::BTreeMap;

use crate::dms::Arn;
use anyhow::Context;
use mysql_async::prelude::Queryable;
use serde_json::json;

use super::Cloud;
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
    /// Makes the secret and the network that the stream's stack takes for this database. The stack's parameters.
    ///
    /// # Errors
    /// If they can't be made.
    pub async fn stream_parameters(
        &self,
        server: &MysqlServer,
    ) -> anyhow::Result<BTreeMap<&'static str, String>> {
        let secret = json!({ "Name": "database", "SecretString": server.secret().to_string() });
        let secret = Service::secrets_manager(self.endpoint()).call("CreateSecret", &secret).await?;
        let secret = secret["ARN"].as_str().context("a secret without an ARN")?;
        let mut parameters = self.network("network").await?;
        parameters.extend([
            ("SourceSecretArn", secret.to_owned()),
            ("SchemaName", "blog".to_owned()),
            ("CreateDmsVpcRole", "false".to_owned()),
            ("CreateDmsLogsRole", "false".to_owned()),
            ("Architecture", architecture()),
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
