//! What stands behind `AWS::RDS::DBCluster` in the local cloud: a database server for each cluster.
//!
//! | request | |
//! |---|---|
//! | `POST /clusters` `{"identifier", "username", "password", "database"?}` | starts a server; answers `{"host", "port"}` once it is up |
//! | `DELETE /clusters/<identifier>` | ends it and removes its data; 404 if there is none |
//!
//! An error is answered as `{"message"}`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use axum::{Json, Router};
use mysql_async::Opts;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::http::Server;
use crate::mysql::certificates::Authority;
use crate::mysql::{MysqlServer, Options};

/// The clusters, and the server that starts and ends them.
#[derive(Debug)]
pub struct RdsStandIn {
    clusters: Arc<Clusters>,
    server: Server,
}

#[derive(Debug)]
struct Clusters {
    authority: Authority,
    running: Mutex<HashMap<String, MysqlServer>>,
}

#[derive(Deserialize)]
struct Wanted {
    identifier: String,
    username: String,
    password: String,
    database: Option<String>,
}

impl RdsStandIn {
    /// Starts without a cluster.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start() -> anyhow::Result<Self> {
        let clusters = Arc::new(Clusters { authority: Authority::new(), running: Mutex::default() });
        let routes = Router::new()
            .route("/clusters", post(create))
            .route("/clusters/{identifier}", delete(remove))
            .with_state(Arc::clone(&clusters));
        let server = Server::start(routes).await?;
        Ok(Self { clusters, server })
    }

    /// Its URL, without a path.
    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// The certificate of the authority that signs for all clusters.
    pub fn ca_pem(&self) -> &str {
        self.clusters.authority.pem()
    }

    /// How the master user of a cluster connects; `None` if there is no such cluster.
    pub async fn cluster(&self, identifier: &str) -> Option<Opts> {
        let running = self.clusters.running.lock().await;
        running.get(identifier).map(MysqlServer::opts)
    }

    /// The identifiers of all clusters.
    pub async fn identifiers(&self) -> Vec<String> {
        self.clusters.running.lock().await.keys().cloned().collect()
    }
}

async fn create(State(clusters): State<Arc<Clusters>>, Json(wanted): Json<Wanted>) -> Response {
    // Held while the server starts, so that nobody else starts the same.
    let mut running = clusters.running.lock().await;
    if running.contains_key(&wanted.identifier) {
        let taken = format!("cluster {} exists already", wanted.identifier);
        return (StatusCode::CONFLICT, message(&taken)).into_response();
    }
    let options = Options {
        username: wanted.username,
        password: wanted.password,
        database: wanted.database,
        authority: Some(clusters.authority.clone()),
        ..Options::default()
    };
    match MysqlServer::start(options).await {
        Ok(server) => {
            let place = json!({ "host": server.host(), "port": server.port() });
            running.insert(wanted.identifier, server);
            Json(place).into_response()
        }
        Err(error) => {
            let error = format!("{error:#}");
            (StatusCode::INTERNAL_SERVER_ERROR, message(&error)).into_response()
        }
    }
}

async fn remove(
    State(clusters): State<Arc<Clusters>>,
    Path(identifier): Path<String>,
) -> (StatusCode, Json<Value>) {
    match clusters.running.lock().await.remove(&identifier) {
        Some(_ended) => (StatusCode::OK, Json(json!({}))),
        None => (StatusCode::NOT_FOUND, message(&format!("there is no cluster {identifier}"))),
    }
}

fn message(text: &str) -> Json<Value> {
    Json(json!({ "message": text }))
}
