//! Where the server is, who logs in, and how the connection is secured.

use std::fmt;

use anyhow::{Context, Error, Result};
use mysql_async::{OptsBuilder, SslOpts};

use super::certificates::{self, Certificates};
use crate::properties::{Properties, SslMode};
use crate::secret::Credentials;

/// MySQL's port, where nobody says another.
const PORT: u16 = 3306;

/// Amazon's certificate authorities for RDS. The public web roots don't sign RDS's certificates.
/// (assumption: rds-authorities)
pub(super) const RDS_BUNDLE: &str = include_str!("../../data/rds-global-bundle.pem");

/// What every session of ours begins with, and begins with again when it is reset. It speaks utf8mb4, whatever the server's
/// defaults are, and however little the server cares for what the driver said at the login. The session that holds the lock is
/// idle while a migration runs, and the other one while the lock is waited for: they stay for as long as a function may run.
const SESSION: &str = "SET NAMES utf8mb4, SESSION wait_timeout = 1000";

/// A server, and how to get in.
pub struct Server {
    host: String,
    port: u16,
    credentials: Credentials,
    trusted: Certificates,
    tls: Option<SslOpts>,
}

impl Server {
    /// Puts together what the properties and the secret say; the properties win.
    ///
    /// # Errors
    /// If neither names a host.
    pub fn new(properties: &Properties, credentials: Credentials) -> Result<Self> {
        let host = properties.host.as_ref().map(|host| host.as_str().to_owned());
        let host = host.or_else(|| credentials.host.clone()).with_context(|| {
            format!(
                "ResourceProperties.Host: needed, since the secret {} has no field `host`",
                properties.secret_arn
            )
        })?;
        let port = properties.port.map(Into::into).or(credentials.port);
        let trusted = match &properties.ssl_ca {
            Some(certificates) => certificates.clone(),
            None => RDS_BUNDLE.parse().map_err(Error::msg).context("reading RDS's authorities")?,
        };
        let tls = tls(properties.ssl_mode, &trusted);
        Ok(Self { host, port: port.unwrap_or(PORT), credentials, trusted, tls })
    }

    /// The PEM of the root that signed the server's certificate; empty without TLS, and where no known root did.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub(crate) async fn authority(&self) -> Result<String> {
        if self.tls.is_none() {
            return Ok(String::new());
        }
        certificates::authority(&self.host, self.port, &self.trusted).await
    }

    /// The driver's options.
    pub(super) fn options(&self) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(self.host.as_str())
            .tcp_port(self.port)
            .user(Some(self.credentials.username.as_str()))
            .pass(Some(self.credentials.password.reveal()))
            .ssl_opts(self.tls.clone())
            // The driver would leave TCP, and TLS with it, where it sees the server's socket.
            .prefer_socket(false)
            .setup(vec![SESSION])
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} as {}", self.host, self.port, self.credentials.username)
    }
}

fn tls(mode: SslMode, trusted: &Certificates) -> Option<SslOpts> {
    let verified = SslOpts::default()
        .with_root_certs(vec![trusted.pem().into_bytes().into()])
        .with_disable_built_in_roots(true);
    match mode {
        SslMode::Disabled => None,
        SslMode::Required => Some(verified.with_danger_accept_invalid_certs(true)),
        // The driver skips the check of the name where the refusal's text has this word in it. Of today's TLS library it
        // has not, but the refusal quotes the name that was asked for: with this one, any certificate of the authority
        // will do, and no other.
        SslMode::VerifyCa => Some(
            verified
                .with_danger_skip_domain_validation(true)
                .with_danger_tls_hostname_override(Some("NotValidForName")),
        ),
        SslMode::VerifyIdentity => Some(verified),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn server(properties: Value, secret: &Value) -> Result<String> {
        let credentials = Credentials::parse(&secret.to_string())?;
        Ok(Server::new(&serde_json::from_value(properties)?, credentials)?.to_string())
    }

    #[test]
    fn the_properties_win_over_the_secret() {
        let secret = json!({ "username": "admin", "password": "b", "host": "there", "port": 3307 });
        let bare = json!({ "SecretArn": "arn:secret", "Database": "orders" });
        let named = json!({ "SecretArn": "arn:secret", "Database": "orders", "Host": "here", "Port": "1" });
        let (bare, named) = (server(bare, &secret), server(named, &secret));
        assert_eq!(bare.unwrap(), "there:3307 as admin");
        assert_eq!(named.unwrap(), "here:1 as admin");
    }

    #[test]
    fn a_host_has_to_be_named_somewhere() {
        let secret = json!({ "username": "admin", "password": "b" });
        let bare = json!({ "SecretArn": "arn:secret", "Database": "orders" });
        let error = server(bare, &secret).unwrap_err().to_string();
        assert!(error.contains("ResourceProperties.Host"), "{error}");
        assert!(error.contains("arn:secret"), "{error}");
    }

    #[test]
    fn the_bundle_holds_certificates() {
        assert!(RDS_BUNDLE.matches("-----BEGIN CERTIFICATE-----").count() > 50);
    }
}
