//! The properties of `Custom::DbInit`, parsed once: what has a type here is right.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use custom_resource::scalar;
use serde::Deserialize;
use serde::de::Deserializer;

use crate::migration::{self, Migration};
use crate::mysql::certificates::Certificates;
use crate::mysql::identifier::Identifier;

/// What `Custom::DbInit` is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Properties {
    /// The secret of the master user.
    pub secret_arn: String,
    /// The server's name; wins over the secret's.
    #[serde(default, deserialize_with = "optional")]
    pub host: Option<Host>,
    /// The server's port; wins over the secret's.
    #[serde(default, deserialize_with = "optional")]
    pub port: Option<NonZeroU16>,
    /// Anything: a fresh one makes CloudFormation call this at every deployment.
    #[serde(default, deserialize_with = "optional")]
    pub deployment_id: Option<String>,
    /// The database, which is created if it isn't there.
    #[serde(deserialize_with = "scalar")]
    pub database: Identifier,
    /// For how long the server keeps its binlogs.
    #[serde(default, deserialize_with = "scalar")]
    pub binlog_retention_hours: RetentionHours,
    /// The schema's history, oldest first.
    #[serde(default, deserialize_with = "migration::list")]
    pub migrations: Vec<Migration>,
    /// The secret of the user that DMS connects as, if db-init is to look after that user.
    #[serde(default)]
    pub replication_user_secret_arn: Option<String>,
    /// How the connection is secured.
    #[serde(default)]
    pub ssl_mode: SslMode,
    /// Certificates, in PEM, that replace Amazon's.
    #[serde(default, deserialize_with = "optional")]
    pub ssl_ca: Option<Certificates>,
}

fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    scalar(deserializer).map(Some)
}

/// A host name or an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host(String);

impl Host {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        // A URL or `host:port` would fail much later, as a name that can't be found.
        let address = text.parse::<IpAddr>().is_ok();
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if address || (!text.is_empty() && text.chars().all(name)) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a host name or an address is wanted, without a scheme or a port")
        }
    }
}

/// For how long Aurora keeps binlogs: 1 to 2,160 hours (90 days).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetentionHours(u16);

impl RetentionHours {
    /// The hours.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for RetentionHours {
    fn default() -> Self {
        Self(24)
    }
}

impl FromStr for RetentionHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(hours @ 1..=2160) => Ok(Self(hours)),
            _ => Err(format!("{text:?} is no number of hours from 1 to 2160")),
        }
    }
}

/// How the connection is secured, in MySQL's own terms.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SslMode {
    /// No TLS.
    Disabled,
    /// TLS with whoever answers.
    Required,
    /// TLS with a server whose certificate chains to a known authority.
    VerifyCa,
    /// The same, and the certificate is for the host that was asked for.
    #[default]
    VerifyIdentity,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// As the protocol crate decodes.
    fn parse(change: &Value) -> Result<Properties, String> {
        let mut properties = json!({ "SecretArn": "arn:secret", "Database": "orders" });
        let all = properties.as_object_mut().unwrap();
        all.extend(change.as_object().unwrap().clone());
        serde_path_to_error::deserialize(properties)
            .map_err(|error| format!("{}: {}", error.path(), error.inner()))
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let properties = parse(&json!({})).unwrap();
        assert_eq!(properties.binlog_retention_hours.get(), 24);
        assert_eq!(properties.ssl_mode, SslMode::VerifyIdentity);
        assert!(properties.migrations.is_empty());
        assert!(properties.host.is_none() && properties.port.is_none());
        assert_eq!(properties.replication_user_secret_arn, None);
    }

    #[test]
    fn scalars_are_taken_in_both_spellings() {
        for value in [json!("2160"), json!(2160)] {
            let properties = parse(&json!({ "BinlogRetentionHours": value, "Port": value })).unwrap();
            assert_eq!(properties.binlog_retention_hours.get(), 2160);
            assert_eq!(properties.port.unwrap().get(), 2160);
        }
    }

    #[test]
    fn retention_out_of_bounds_is_refused_with_the_bounds() {
        for value in [json!("0"), json!(2161), json!("a day"), json!("24.5"), json!(-1)] {
            let error = parse(&json!({ "BinlogRetentionHours": value })).unwrap_err();
            assert!(error.starts_with("BinlogRetentionHours: "), "{error}");
            assert!(error.ends_with("is no number of hours from 1 to 2160"), "{error}");
        }
    }

    #[test]
    fn ssl_modes_have_mysqls_names() {
        let mode = |mode: &str| parse(&json!({ "SslMode": mode })).map(|found| found.ssl_mode);
        assert_eq!(mode("DISABLED"), Ok(SslMode::Disabled));
        assert_eq!(mode("REQUIRED"), Ok(SslMode::Required));
        assert_eq!(mode("VERIFY_CA"), Ok(SslMode::VerifyCa));
        assert_eq!(mode("VERIFY_IDENTITY"), Ok(SslMode::VerifyIdentity));
        let error = mode("PREFERRED").unwrap_err();
        assert!(error.contains("expected one of `DISABLED`"), "{error}");
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        let host = |host: &str| parse(&json!({ "Host": host }));
        for good in ["db.example.com", "10.0.0.1", "::1", "localhost"] {
            assert_eq!(host(good).unwrap().host.unwrap().as_str(), good);
        }
        for bad in ["", "db:3306", "mysql://db", "user@db", "a b"] {
            let error = host(bad).unwrap_err();
            assert!(error.starts_with("Host: a host name or an address"), "{error}");
        }
    }

    #[test]
    fn a_ca_without_a_certificate_is_refused() {
        let error = parse(&json!({ "SslCa": "rds-ca-2019" })).unwrap_err();
        assert!(error.starts_with("SslCa: no certificate in PEM"), "{error}");
    }

    #[test]
    fn misspelt_and_missing_properties_are_named() {
        let error = parse(&json!({ "Retention": "24" })).unwrap_err();
        assert!(error.contains("unknown field `Retention`"), "{error}");
        let error = serde_json::from_value::<Properties>(json!({ "SecretArn": "arn" }));
        assert!(error.unwrap_err().to_string().contains("missing field `Database`"));
    }
}
