//! Certificates of authorities, and the one that signed the server's.

use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tracing::info;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::LOGIN;
use super::failure::Failure;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The characters in a line of PEM.
const WIDTH: usize = 64;

/// What a client says in place of its login to go on under TLS: the protocol of MySQL 4.1 and later, TLS, packets of up to
/// 16 MiB, utf8mb4.
const SSL_REQUEST: [u8; 9] = [0x00, 0x8a, 0x08, 0x00, 0x00, 0x00, 0x00, 0x01, 45];

/// Certificates that were read, and can be roots.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificates(Vec<CertificateDer<'static>>);

impl Certificates {
    /// All of them, in PEM.
    pub fn pem(&self) -> String {
        self.0.iter().map(pem).collect()
    }

    /// The one that the server's certificate chains to, in PEM.
    fn signer(&self, chain: &[CertificateDer<'_>]) -> Option<String> {
        let (leaf, intermediates) = chain.split_first()?;
        let leaf = EndEntityCert::try_from(leaf).ok()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let signs = |root: &CertificateDer<'_>| {
            let anchors = [anchor_from_trusted_cert(root).ok()?];
            let algorithms = webpki::ALL_VERIFICATION_ALGS;
            let now = UnixTime::since_unix_epoch(now);
            let usage = KeyUsage::server_auth();
            leaf.verify_for_usage(algorithms, &anchors, intermediates, now, usage, None, None).ok().map(drop)
        };
        self.0.iter().find(|root| signs(root).is_some()).map(pem)
    }
}

impl FromStr for Certificates {
    type Err = String;

    /// Takes PEM as people come by it: with a byte order mark, indented, with `\n` written out, or with blanks for line ends.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.replace("\\r", " ").replace("\\n", " ");
        let mut certificates = Vec::new();
        let mut parts = text.split(BEGIN);
        parts.next();
        for (number, part) in (1..).zip(parts) {
            let refuse = |why: &str| format!("certificate {number} {why}");
            let (body, _) = part.split_once(END).ok_or_else(|| refuse(&format!("has no {END}")))?;
            let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            let der = STANDARD.decode(body).map_err(|_| refuse("is damaged: its text is not Base64"))?;
            let der = CertificateDer::from(der);
            if anchor_from_trusted_cert(&der).is_err() {
                return Err(refuse("is damaged: its text is Base64, but no X.509 certificate"));
            }
            certificates.push(der);
        }
        if certificates.is_empty() {
            return Err(format!("no certificate in PEM is in it ({BEGIN})"));
        }
        Ok(Self(certificates))
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = format!("{BEGIN}\n");
    for line in text.as_bytes().chunks(WIDTH) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + END + "\n"
}

/// The root among these that signed the server's certificate, in PEM; nothing if it is none of them.
///
/// It looks at what the server shows, on a connection of its own that ends there: the driver keeps the certificates to
/// itself. Whoever else answers can only show a certificate of a root that is trusted anyway.
///
/// # Errors
/// If the server can't be reached, or offers no TLS.
pub(crate) async fn authority(host: &str, port: u16, trusted: &Certificates) -> Result<String> {
    let shown = timeout(LOGIN, chain(host, port)).await.unwrap_or_else(|_| bail!(Failure::Silence(LOGIN)));
    let found = trusted.signer(&shown.context("reading the server's certificate")?);
    if found.is_none() {
        info!("the server's certificate is signed by no authority that is known here");
    }
    Ok(found.unwrap_or_default())
}

/// What the server shows to prove who it is: its certificate, and those between it and the root.
async fn chain(host: &str, port: u16) -> Result<Vec<CertificateDer<'static>>> {
    let network = |error: std::io::Error| Failure::from(mysql_async::Error::from(error));
    let mut stream = TcpStream::connect((host, port)).await.map_err(network)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(network)?;
    let [a, b, c, _] = head;
    let mut greeting = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
    stream.read_exact(&mut greeting).await.map_err(network)?;
    if greeting.first() == Some(&0xff) {
        // An error in place of a greeting: too many connections, most of all.
        bail!(Failure::Network("the server refuses another connection".to_owned()));
    }
    let mut request = vec![32, 0, 0, 1];
    request.extend(SSL_REQUEST);
    request.resize(4 + 32, 0);
    stream.write_all(&request).await.map_err(network)?;
    let look = Arc::new(Look(ring::default_provider().signature_verification_algorithms));
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(look)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(network)?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(shown.to_vec())
}

/// Looks at certificates and judges none: nothing is said on this connection. The handshake's signatures are checked.
#[derive(Debug)]
struct Look(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Look {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn pem_is_taken_as_people_come_by_it() {
        let text = authority("one").pem() + &authority("two").pem();
        let plain: Certificates = text.parse().unwrap();
        for written in [
            format!("\u{feff}{text}"),
            text.replace("\r\n", "\n").replace('\n', "\\n"),
            text.replace("\r\n", "\n").replace('\n', "\r\n"),
            text.replace("\r\n", "\n").replace('\n', "\n      "),
            text.replace("\r\n", "\n").replace('\n', " "),
            format!("# the first\n{text}# the end\n"),
            plain.pem(),
        ] {
            assert_eq!(written.parse::<Certificates>().unwrap(), plain, "{written}");
        }
        assert_eq!(plain.0.len(), 2);
    }

    #[test]
    fn what_is_no_certificate_is_refused_by_its_number() {
        let good = authority("one").pem();
        for (text, told) in [
            ("rds-ca-2019".to_owned(), "no certificate in PEM is in it"),
            (format!("{good}{BEGIN}\nMIIB"), "certificate 2 has no -----END CERTIFICATE-----"),
            (format!("{BEGIN}\nMI!B\n{END}"), "certificate 1 is damaged: its text is not Base64"),
            (format!("{good}{BEGIN}\nMIIB\n{END}"), "certificate 2 is damaged: its text is Base64, but"),
        ] {
            let refusal = text.parse::<Certificates>().unwrap_err();
            assert!(refusal.starts_with(told), "{refusal}");
        }
    }

    #[test]
    fn any_root_of_rds_leaves_room_in_an_answer_of_4096_bytes() {
        let bundle: Certificates = super::super::server::RDS_BUNDLE.parse().unwrap();
        // A line end takes two bytes there.
        let length = |root| pem(root).replace('\n', "\\n").len();
        let longest = bundle.0.iter().map(length).max().unwrap();
        assert!(longest < 2500, "{longest}");
    }

    #[test]
    fn the_root_that_signed_is_found_among_others() {
        let (one, two) = (authority("one"), authority("two"));
        let trusted: Certificates = (one.pem() + &two.pem()).parse().unwrap();
        let params = CertificateParams::new(["db".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let chain = [params.clone().signed_by(&key, &two).unwrap().der().clone()];
        let found: Certificates = trusted.signer(&chain).unwrap().parse().unwrap();
        assert_eq!(found, two.pem().parse().unwrap());
        let stranger = [params.signed_by(&key, &authority("three")).unwrap().der().clone()];
        assert_eq!(trusted.signer(&stranger), None);
    }
}
