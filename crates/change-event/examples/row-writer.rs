//! Something to see on the stream, as a Lambda function: it inserts, updates and deletes rows of a table of its own.
//!
//! It is called by hand, with `{}` or `{"rows": 100}`, and answers how many rows it inserted, updated and deleted. All rows
//! that it inserts, it deletes again. `cfn/examples.yaml` deploys it, with these in its environment:
//!
//! | variable | |
//! |---|---|
//! | `SECRET_ARN` | secret with `username`, `password`, `host`, `port` |
//! | `DATABASE` | where the table is made |
//! | `SSL_MODE`, `SSL_CA` | optional, as of `Custom::DbInit` |

use anyhow::{Context, Result, ensure};
use db_init::mysql::{Server, connect_to};
use db_init::properties::Properties;
use db_init::secret::{Credentials, SecretsManager};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use mysql_async::prelude::Queryable;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;

/// The most that a call writes: each row takes three statements, and the function has a minute.
const LIMIT: u32 = 1000;

/// What a call asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default = "ten")]
    rows: u32,
}

fn ten() -> u32 {
    10
}

/// What a call has done.
#[derive(Default, Serialize)]
struct Written {
    inserted: u64,
    updated: u64,
    deleted: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false).init();
    let secrets = SecretsManager::from_env();
    let secrets = &secrets;
    let answer = move |event: LambdaEvent<Order>| async move {
        let written = write(secrets, event.payload.rows).await;
        written.map_err(|error| Diagnostic {
            error_type: "RowWriterError".to_owned(),
            error_message: format!("{error:#}"),
        })
    };
    lambda_runtime::run(service_fn(answer)).await
}

/// Where the database is, from the environment.
fn properties() -> Result<Properties> {
    let mut properties = json!({});
    for (variable, property) in
        [("SECRET_ARN", "SecretArn"), ("DATABASE", "Database"), ("SSL_MODE", "SslMode"), ("SSL_CA", "SslCa")]
    {
        if let Ok(value) = std::env::var(variable) {
            properties[property] = value.into();
        }
    }
    serde_json::from_value(properties).context("reading the environment")
}

async fn write(secrets: &SecretsManager, rows: u32) -> Result<Written> {
    ensure!((1..=LIMIT).contains(&rows), "rows: from 1 to {LIMIT}");
    let properties = properties()?;
    // Read each time: a secret may have been rotated since.
    let credentials = Credentials::read(secrets, &properties.secret_arn).await?;
    let mut conn = connect_to(&Server::new(&properties, credentials)?).await?;

    let table = format!("{}.sluice_probe", properties.database.quoted());
    let create = "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, word VARCHAR(64) NOT NULL, turn INT NOT NULL";
    conn.query_drop(format!("CREATE TABLE IF NOT EXISTS {table} ({create})"))
        .await
        .context("creating the table sluice_probe")?;
    let insert = format!("INSERT INTO {table} (word, turn) VALUES (?, 0)");
    let update = format!("UPDATE {table} SET word = ?, turn = turn + 1 WHERE id = ?");
    let delete = format!("DELETE FROM {table} WHERE id = ?");
    let mut written = Written::default();
    for row in 1..=rows {
        conn.exec_drop(&insert, (format!("hello {row}"),)).await.context("inserting a row")?;
        written.inserted += conn.affected_rows();
        let id = conn.last_insert_id().context("the row was given no id")?;
        conn.exec_drop(&update, (format!("good-bye {row}"), id)).await.context("updating a row")?;
        written.updated += conn.affected_rows();
        conn.exec_drop(&delete, (id,)).await.context("deleting a row")?;
        written.deleted += conn.affected_rows();
    }
    conn.disconnect().await.context("saying good-bye")?;
    info!(written.inserted, written.updated, written.deleted, "done");
    Ok(written)
}
