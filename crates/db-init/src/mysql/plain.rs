//! Connections without TLS.
//!
//! Where `caching_sha2_password` wants the password itself (the first login of a user, and each one after the server has
//! started), the driver would ask the other side for a public key and send the password under it: to whoever is there.
//! Like MySQL's own clients, this refuses; and since the driver can't be told to, it happens on the way, in a relay.

use std::io;
use std::net::Ipv4Addr;

use mysql_async::{Opts, OptsBuilder};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The error that MySQL's clients have for it: an authentication plugin's complaint.
pub(super) const REFUSED: u16 = 2061;

const MESSAGE: &str = "caching_sha2_password wants the password itself, which needs a secure connection";

/// What the server says when it wants the password itself.
const FULL_AUTHENTICATION: [u8; 2] = [1, 4];

/// How a packet begins that ends the login: OK, or an error.
const OK: u8 = 0;
const ERROR: u8 = 0xff;

/// The options to connect with in place of these: to a relay that serves one connection.
pub(super) async fn guarded(opts: &Opts) -> io::Result<Opts> {
    let server = TcpStream::connect((opts.ip_or_hostname(), opts.tcp_port())).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await?;
        relay(client, server).await
    });
    let opts =
        OptsBuilder::from_opts(opts.clone()).ip_or_hostname(Ipv4Addr::LOCALHOST.to_string()).tcp_port(port);
    Ok(opts.into())
}

/// Lets both talk, except about a password.
async fn relay(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let down = async {
        login(&mut from_server, &mut to_client).await?;
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(up, down).map(|_| ())
}

/// Passes on what the server says until somebody is let in or not.
///
/// # Errors
/// If it wants the password itself: then the client is told that it may not have it.
async fn login(
    server: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut greeted = false;
    loop {
        let mut head = [0; 4];
        server.read_exact(&mut head).await?;
        let [a, b, c, sequence] = head;
        let mut payload = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
        server.read_exact(&mut payload).await?;
        if greeted && payload.starts_with(&FULL_AUTHENTICATION) {
            client.write_all(&refusal(sequence)).await?;
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        client.write_all(&head).await?;
        client.write_all(&payload).await?;
        match payload.first() {
            Some(&ERROR) => return Ok(()),
            Some(&OK) if greeted => return Ok(()),
            _ => greeted = true,
        }
    }
}

/// An error, as the server would send it.
fn refusal(sequence: u8) -> Vec<u8> {
    let mut payload = vec![ERROR];
    payload.extend(REFUSED.to_le_bytes());
    payload.extend(b"#HY000");
    payload.extend(MESSAGE.as_bytes());
    let mut packet = vec![u8::try_from(payload.len()).unwrap_or(u8::MAX), 0, 0, sequence];
    packet.extend(payload);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![u8::try_from(payload.len()).unwrap(), 0, 0, 2];
        packet.extend(payload);
        packet
    }

    /// What the client gets to read when the server says this.
    async fn heard(said: &[&[u8]]) -> (io::Result<()>, Vec<u8>) {
        let said: Vec<u8> = said.iter().flat_map(|payload| packet(payload)).collect();
        let mut heard = Vec::new();
        let result = login(&mut said.as_slice(), &mut heard).await;
        (result, heard)
    }

    #[tokio::test]
    async fn the_password_itself_is_refused() {
        let greeting = b"\x0a9.7.0";
        let (result, heard) = heard(&[greeting, &FULL_AUTHENTICATION]).await;
        result.unwrap_err();
        let refusal = refusal(2);
        assert_eq!(heard, [packet(greeting), refusal.clone()].concat());
        assert_eq!(usize::from(refusal[0]), refusal.len() - 4);
    }

    #[tokio::test]
    async fn all_else_is_passed_on_until_the_login_is_over() {
        let switch = b"\xfemysql_native_password\0";
        for said in [
            [b"\x0a5.7".as_slice(), switch, b"\0\0\0", b"left"],
            [b"\x0a8.0".as_slice(), b"\x01\x03", b"\0\0\0", b"left"],
            [b"\x0a8.0".as_slice(), switch, b"\xff\x15\x04no", b"left"],
        ] {
            let (result, heard) = heard(&said).await;
            result.unwrap();
            let expected: Vec<u8> = said[..3].iter().flat_map(|it| packet(it)).collect();
            assert_eq!(heard, expected);
        }
        let (result, heard) = heard(&[b"\xff\x10\x04too many", b"left"]).await;
        result.unwrap();
        assert_eq!(heard, packet(b"\xff\x10\x04too many"));
    }
}
