//! TLS in front of a stand-in that speaks plain HTTP.

use std::io;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::mysql::certificates::Authority;

/// A listener on a free port of the loopback interface, for connections with TLS. It ends when it is dropped.
#[derive(Debug)]
pub struct TlsFront {
    endpoint: String,
    serving: JoinHandle<()>,
}

impl TlsFront {
    /// Passes on what comes to the server at `endpoint`, a URL without a path. Its certificate, for 127.0.0.1, is of this
    /// authority.
    ///
    /// # Errors
    /// If no port can be opened.
    ///
    /// # Panics
    /// If the authority's certificate is none.
    pub async fn start(authority: &Authority, endpoint: &str) -> io::Result<Self> {
        let issued = authority.issue("127.0.0.1");
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let own = format!("https://{}", listener.local_addr()?);
        let server = endpoint.trim_start_matches("http://").to_owned();
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(acceptor.clone(), client, server.clone()));
            }
        });
        Ok(Self { endpoint: own, serving })
    }

    /// Its URL, without a path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Ends with the connection. A failure is for the client to notice.
async fn pass_on(acceptor: TlsAcceptor, client: TcpStream, server: String) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
