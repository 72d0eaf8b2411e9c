//! A server on a free port of the loopback interface: what every stand-in that speaks HTTP is.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    endpoint: String,
    serving: JoinHandle<()>,
}

/// Marks a response that nobody gets.
#[derive(Clone, Debug)]
struct Closed;

/// In place of a response: the connection is closed without one.
pub(crate) fn closed() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Closed);
    response
}

impl Server {
    /// Serves these routes.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(routes: Router) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        Ok(Self { endpoint, serving: tokio::spawn(serve(listener, routes)) })
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

async fn serve(listener: TcpListener, routes: Router) {
    // They end with this.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let routes = TowerToHyperService::new(routes.clone());
        let service = service_fn(move |request| {
            let answering = routes.call(request);
            async move {
                let response = answering.await.map_err(std::io::Error::other)?;
                match response.extensions().get::<Closed>() {
                    Some(_) => Err(std::io::Error::other("closed on purpose")),
                    None => Ok(response),
                }
            }
        });
        // A connection ends with whoever ends it; that is no error of the server's.
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}
