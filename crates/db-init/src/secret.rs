//! The secrets of database users, and the one place that talks to Secrets Manager.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use serde_json::Value;

/// Where secrets come from.
pub trait Secrets: Send + Sync + 'static {
    /// The text of a secret.
    fn text(&self, arn: &str) -> impl Future<Output = Result<String>> + Send;
}

/// AWS Secrets Manager.
#[derive(Clone, Debug)]
pub struct SecretsManager(Client);

impl SecretsManager {
    /// Uses what Lambda sets in the environment: region, credentials, and `AWS_ENDPOINT_URL*` where given.
    pub fn from_env() -> Self {
        // Without a limit, a neighbour that takes connections and never answers would hold the whole of our time.
        let patience = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(10))
            .build();
        Self::new(&aws_environment::config().timeout_config(patience).build())
    }

    /// Uses this configuration.
    pub fn new(config: &SdkConfig) -> Self {
        Self(Client::new(config))
    }
}

impl Secrets for SecretsManager {
    async fn text(&self, arn: &str) -> Result<String> {
        let answer = self.0.get_secret_value().secret_id(arn).send().await;
        let secret = answer.map_err(|error| match &error {
            SdkError::ServiceError(refusal) if refusal.err().is_resource_not_found_exception() => {
                anyhow!("there is no such secret, or it has no value")
            }
            SdkError::ServiceError(refusal) => anyhow!(
                "{}: {}",
                refusal.err().code().unwrap_or("Secrets Manager refuses"),
                refusal.err().message().unwrap_or("without a reason")
            ),
            _ => anyhow::Error::new(error).context("Secrets Manager could not be reached"),
        })?;
        secret.secret_string.context("the secret holds no text")
    }
}

/// A password, which no `Debug` shows.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// The password itself, for the driver.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What a secret says about a database.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user to log in as.
    pub username: String,
    /// The user's password.
    pub password: Password,
    /// The server, if the secret is attached to one.
    pub host: Option<String>,
    /// The server's port.
    pub port: Option<u16>,
}

impl Credentials {
    /// Reads the credentials that the secret `arn` holds.
    ///
    /// # Errors
    /// Says which secret, and which of its fields, but nothing of what it holds.
    pub async fn read(secrets: &impl Secrets, arn: &str) -> Result<Self> {
        let read = async { Self::parse(&secrets.text(arn).await?) };
        read.await.with_context(|| format!("reading the secret {arn}"))
    }

    /// Takes a secret's text apart. serde's own errors are not used: they quote what they don't like.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
            bail!("its value is no JSON object");
        };
        let optional = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(anyhow!("its field `{name}` is no text")),
        };
        let required = |name: &str| {
            let value = optional(name)?.with_context(|| format!("it has no field `{name}`"))?;
            ensure!(!value.is_empty(), "its field `{name}` is empty");
            // MySQL's protocol ends both at the first one.
            ensure!(!value.contains('\0'), "its field `{name}` holds a NUL");
            Ok(value)
        };
        let port = optional("port")?.map(|port| port.parse());
        Ok(Self {
            username: required("username")?,
            password: Password(required("password")?),
            host: optional("host")?.filter(|host| !host.is_empty()),
            port: port.transpose().map_err(|_| anyhow!("its field `port` is no port number"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = Credentials::parse(text).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        error
    }

    #[test]
    fn a_secret_attached_to_a_cluster_says_where_it_is() {
        let text = r#"{"username":"admin","password":"hunter2","engine":"mysql","host":"db","port":3307,"dbname":"x"}"#;
        let credentials = Credentials::parse(text).unwrap();
        assert_eq!(credentials.username, "admin");
        assert_eq!(credentials.password.reveal(), "hunter2");
        assert_eq!(credentials.host.as_deref(), Some("db"));
        assert_eq!(credentials.port, Some(3307));
    }

    #[test]
    fn a_secret_that_rds_manages_holds_user_and_password_only() {
        let credentials = Credentials::parse(r#"{"username":"a","password":"b"}"#).unwrap();
        assert!(credentials.host.is_none() && credentials.port.is_none());
    }

    #[test]
    fn a_port_written_as_text_is_taken() {
        let text = r#"{"username":"a","password":"b","port":"3307"}"#;
        assert_eq!(Credentials::parse(text).unwrap().port, Some(3307));
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_its_content() {
        assert_eq!(refused("hunter2"), "its value is no JSON object");
        assert_eq!(refused(r#"["hunter2"]"#), "its value is no JSON object");
        assert_eq!(refused(r#"{"password":"hunter2"}"#), "it has no field `username`");
        assert_eq!(refused(r#"{"username":"hunter2"}"#), "it has no field `password`");
        assert_eq!(refused(r#"{"username":"a","password":""}"#), "its field `password` is empty");
        assert_eq!(
            refused(r#"{"username":"a","password":"hunter2\u0000"}"#),
            "its field `password` holds a NUL"
        );
        assert_eq!(refused(r#"{"username":"a","password":["hunter2"]}"#), "its field `password` is no text");
        assert_eq!(
            refused(r#"{"username":"a","password":"b","port":"hunter2"}"#),
            "its field `port` is no port number"
        );
    }

    #[test]
    fn debug_hides_the_password() {
        let credentials = Credentials::parse(r#"{"username":"a","password":"hunter2"}"#).unwrap();
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
