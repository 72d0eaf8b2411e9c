//! The services behind the SDK's client, without a network between.

use std::time::SystemTime;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use stage::aws::{Aws, Clock};

/// The services' clock, for the SDK.
#[derive(Debug)]
struct Time(Clock);

impl TimeSource for Time {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// The services, for the SDK.
#[derive(Debug)]
struct Connector(Aws);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers: HeaderMap = request
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            })
            .collect();
        let body = Bytes::copy_from_slice(request.body().bytes().unwrap_or_default());
        let answering = self.0.send(&headers, body);
        HttpConnectorFuture::new(async move {
            let Some(answer) = answering.await else {
                let closed = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset");
                return Err(ConnectorError::io(closed.into()));
            };
            Ok(HttpResponse::new(answer.status.into(), SdkBody::from(answer.body)))
        })
    }
}

/// The configuration with which the SDK's clients call these services, by their clock.
pub fn config(aws: &Aws) -> SdkConfig {
    let connector = SharedHttpConnector::new(Connector(aws.clone()));
    let credentials = Credentials::new("local", "secret", None, None, "the stage");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .time_source(Time(aws.dms.clock()))
        .build()
}
