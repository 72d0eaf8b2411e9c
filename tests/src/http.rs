//! A server on a free port of the loopback interface: what every stand-in that speaks HTTP is.

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    endpoint: String,
    serving: JoinHandle<()>,
}

impl Server {
    /// Serves these routes.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(routes: Router) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(async move {
            // It ends with the task; it has no error of its own.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { endpoint, serving })
    }

    /// Its URL, without a path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
