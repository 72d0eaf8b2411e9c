//! A callback for many cases at once: the first part of a path is a case's number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use stage::http::Server;
use tokio::net::TcpSocket;

/// What the callback says to one request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) delay: Duration,
}

impl Reply {
    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    pub(crate) fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn is_worth_a_retry(&self) -> bool {
        self.status >= 500 || matches!(self.status, 408 | 429)
    }
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    pub(crate) content_length: Option<String>,
    /// Headers that a pre-signed PUT must not have.
    pub(crate) unwanted: Vec<&'static str>,
    pub(crate) body: Bytes,
}

/// What came for one case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) puts: Vec<Put>,
    /// How many were told that all is well, and lived to hear it.
    pub(crate) accepted: usize,
    /// How many followed a redirect.
    pub(crate) followed: usize,
    replies: VecDeque<Reply>,
}

type Inboxes = Arc<Mutex<HashMap<usize, Inbox>>>;

/// The callback. A request that no reply was given for is accepted.
#[derive(Debug)]
pub(crate) struct Callback {
    server: Server,
    inboxes: Inboxes,
    nobody: (TcpSocket, String),
}

impl Callback {
    pub(crate) async fn start() -> Self {
        let inboxes = Inboxes::default();
        let routes = axum::Router::new().fallback(take).with_state(Arc::clone(&inboxes));
        let server = Server::start(routes).await.unwrap();
        // Bound, so that the port is nobody else's, and not listening.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let nobody = format!("http://{}", socket.local_addr().unwrap());
        Self { server, inboxes, nobody: (socket, nobody) }
    }

    pub(crate) fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Where connections are refused.
    pub(crate) fn nobody(&self) -> &str {
        &self.nobody.1
    }

    /// Makes room for a case.
    pub(crate) fn open(&self, number: usize, replies: &[Reply]) {
        let inbox = Inbox { replies: replies.to_vec().into(), ..Inbox::default() };
        self.inboxes.lock().unwrap().insert(number, inbox);
    }

    /// What came for a case, which is forgotten.
    pub(crate) fn close(&self, number: usize) -> Inbox {
        self.inboxes.lock().unwrap().remove(&number).unwrap()
    }
}

async fn take(
    State(inboxes): State<Inboxes>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut parts = uri.path().splitn(3, '/').skip(1);
    let (first, rest) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let Ok(number) = first.parse::<usize>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let with = |f: &dyn Fn(&mut Inbox) -> Option<Reply>| inboxes.lock().unwrap().get_mut(&number).and_then(f);
    if rest == "elsewhere" {
        with(&|inbox| {
            inbox.followed += 1;
            None
        });
        return StatusCode::OK.into_response();
    }
    let put = Put {
        method,
        path_and_query: uri.path_and_query().unwrap().to_string(),
        content_length: headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned()),
        unwanted: [CONTENT_TYPE.as_str(), TRANSFER_ENCODING.as_str(), "expect"]
            .into_iter()
            .filter(|name| headers.contains_key(*name))
            .collect(),
        body,
    };
    let reply = with(&|inbox| {
        inbox.puts.push(put.clone());
        inbox.replies.pop_front()
    });
    let reply = reply.unwrap_or(Reply { status: 200, delay: Duration::ZERO });
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if reply.is_accepted() {
        with(&|inbox| {
            inbox.accepted += 1;
            None
        });
    }
    let status = StatusCode::from_u16(reply.status).unwrap();
    if status.is_redirection() {
        return (status, [(LOCATION, format!("/{number}/elsewhere"))]).into_response();
    }
    status.into_response()
}
