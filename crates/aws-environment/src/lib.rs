//! The AWS SDK's configuration as Lambda's environment gives it.
//!
//! `aws_config::load_defaults` would look in more places: profiles, containers, instances, web identities. None of them is
//! there in a Lambda function, and the code for them, with a client of STS, was an eighth of each archive.
//!
//! # What is read
//! - `AWS_REGION`, or `AWS_DEFAULT_REGION`
//! - `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, when the first call is signed
//!   (assumption: credentials-in-environment)
//! - `AWS_ENDPOINT_URL_…` of a service, or else `AWS_ENDPOINT_URL`
//! - `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT`: `true`, or nothing

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Builder as HttpClient;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::sdk_config::{Builder, SdkConfig};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

/// Where the values of variables come from.
type Variables = fn(&str) -> Option<String>;

/// The configuration, to be completed with how long to wait and how often to try.
pub fn config() -> Builder {
    let tls = Provider::Rustls(CryptoMode::Ring);
    let credentials = EnvironmentVariableCredentialsProvider::new();
    read(|name| std::env::var(name).ok())
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(HttpClient::new().tls_provider(tls).build_https())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
}

fn read(variables: Variables) -> Builder {
    let value = |name| variables(name).filter(|value| !value.is_empty());
    let is_true = |name| value(name).map(|value| value.eq_ignore_ascii_case("true"));
    let mut builder = SdkConfig::builder().service_config(Endpoints(variables));
    builder.set_region(value("AWS_REGION").or_else(|| value("AWS_DEFAULT_REGION")).map(Region::new));
    builder.set_use_fips(is_true("AWS_USE_FIPS_ENDPOINT"));
    builder.set_use_dual_stack(is_true("AWS_USE_DUALSTACK_ENDPOINT"));
    builder
}

/// Tells each client where its service is. (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>)
#[derive(Debug)]
struct Endpoints(Variables);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        let of_all = key.env();
        [&format!("{of_all}_{service}"), of_all]
            .into_iter()
            .find_map(|name| (self.0)(name).filter(|value| !value.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(variables: Variables, service: &str) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id(service)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        let config = read(variables).build();
        config.service_config().unwrap().load_config(key.unwrap())
    }

    #[test]
    fn what_is_not_set_is_left_to_the_sdk() {
        for variables in [|_: &str| None, |_: &str| Some(String::new())] {
            let config = read(variables).build();
            assert_eq!(config.region(), None);
            assert_eq!(config.use_fips(), None);
            assert_eq!(config.use_dual_stack(), None);
            assert_eq!(endpoint(variables, "Secrets Manager"), None);
        }
    }

    #[test]
    fn the_region_is_lambdas_or_else_the_default() {
        let lambdas: Variables = |name| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            _ => Some("us-east-1".to_owned()),
        };
        let default: Variables = |name| (name == "AWS_DEFAULT_REGION").then(|| "us-east-1".to_owned());
        for (variables, region) in [(lambdas, "eu-west-1"), (default, "us-east-1")] {
            let config = read(variables).build();
            assert_eq!(config.region(), Some(&Region::new(region)));
        }
    }

    #[test]
    fn other_kinds_of_endpoints_are_asked_for_by_the_word_true() {
        let config = read(|name| {
            let value = if name.contains("FIPS") { "True" } else { "false" };
            Some(value.to_owned())
        })
        .build();
        assert_eq!(config.use_fips(), Some(true));
        assert_eq!(config.use_dual_stack(), Some(false));
    }

    #[test]
    fn a_services_own_endpoint_wins_over_that_of_all() {
        let variables: Variables = |name| match name {
            "AWS_ENDPOINT_URL" => Some("https://all".to_owned()),
            "AWS_ENDPOINT_URL_SECRETS_MANAGER" => Some("https://own".to_owned()),
            _ => None,
        };
        let endpoint = |service| endpoint(variables, service);
        assert_eq!(endpoint("Secrets Manager").as_deref(), Some("https://own"));
        assert_eq!(endpoint("CloudFormation").as_deref(), Some("https://all"));
    }
}
