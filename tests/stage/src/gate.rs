//! The way to a neighbour, for when it is not what it should be: what a function meets where a route, a policy or the
//! neighbour itself is missing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What a connection meets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// All goes through.
    Open,
    /// It is refused.
    Shut,
    /// It is taken, what is sent is not read, and nothing comes back.
    Silent,
    /// What is sent arrives, and no answer comes back.
    Mute,
    /// The neighbour isn't asked; what comes back is an HTTP answer that never ends.
    Endless,
}

#[derive(Debug)]
struct Inner {
    to: String,
    /// What the next connections meet; the last of them stays.
    ways: VecDeque<Way>,
    /// A port that is held without anybody listening refuses connections.
    closed: Option<TcpSocket>,
    serving: Option<JoinHandle<()>>,
}

/// A port of the loopback interface in front of a neighbour. It ends when it is dropped.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Gate {
    /// A way to `to`, which is `host:port` or an URL without a path. The first connection meets the first of `ways`, and
    /// so on; the last of them stays. One that is shut is so from the start, and until it [opens](Self::opens).
    ///
    /// # Errors
    /// If no port can be had.
    pub fn before(to: &str, ways: &[Way]) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let gate = Self {
            address: socket.local_addr()?,
            inner: Arc::new(Mutex::new(Inner {
                to: to.trim_start_matches("http://").to_owned(),
                ways: ways.iter().copied().collect(),
                closed: Some(socket),
                serving: None,
            })),
        };
        if !ways.contains(&Way::Shut) {
            gate.listen()?;
        }
        Ok(gate)
    }

    /// From now on all goes through.
    ///
    /// # Errors
    /// If the port can't be listened on.
    pub fn opens(&self) -> std::io::Result<()> {
        self.inner.lock().unwrap().ways = VecDeque::from([Way::Open]);
        self.listen()
    }

    /// Its address as an URL, without a path.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    fn listen(&self) -> std::io::Result<()> {
        let mut inner = self.inner.lock().unwrap();
        if let Some(socket) = inner.closed.take() {
            let listener = socket.listen(64)?;
            inner.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.inner))));
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(serving) = self.inner.lock().unwrap().serving.take() {
            serving.abort();
        }
    }
}

async fn serve(listener: TcpListener, inner: Arc<Mutex<Inner>>) {
    // They end with this.
    let mut connections = JoinSet::new();
    while let Ok((visitor, _)) = listener.accept().await {
        let (way, to) = {
            let mut inner = inner.lock().unwrap();
            let way = inner.ways.front().copied().unwrap_or(Way::Open);
            if inner.ways.len() > 1 {
                inner.ways.pop_front();
            }
            (way, inner.to.clone())
        };
        // A connection ends with whoever ends it; that is no error of the gate's.
        connections.spawn(async move {
            let _ = lead(visitor, way, &to).await;
        });
    }
}

async fn lead(mut visitor: TcpStream, way: Way, to: &str) -> std::io::Result<()> {
    match way {
        Way::Open => {
            let mut neighbour = TcpStream::connect(to).await?;
            copy_bidirectional(&mut visitor, &mut neighbour).await?;
        }
        Way::Shut => {}
        Way::Silent => std::future::pending().await,
        Way::Mute => {
            let mut neighbour = TcpStream::connect(to).await?;
            let (mut from_visitor, _kept) = visitor.split();
            tokio::io::copy(&mut from_visitor, &mut neighbour).await?;
        }
        Way::Endless => {
            visitor.read_u8().await?;
            visitor.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\n\r\n").await?;
            let much = vec![b' '; 1 << 20];
            loop {
                visitor.write_all(&much).await?;
            }
        }
    }
    Ok(())
}
