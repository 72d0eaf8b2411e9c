//! The place to answer to, kept out of sight.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Uri;
use time::PrimitiveDateTime;
use time::macros::format_description;

/// The pre-signed URL that takes the answer.
///
/// Whoever holds it can answer in CloudFormation's name for two hours, so neither `Debug` nor an error shows it.
#[derive(Clone)]
pub struct ResponseUrl(Uri);

/// The text isn't an absolute `http` or `https` URL. The text itself is not repeated.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("ResponseURL is not an absolute http or https URL")]
pub struct InvalidUrl;

impl ResponseUrl {
    /// Reads a URL. What is sent later is this text, byte for byte: nothing is decoded, re-encoded or sorted, since the
    /// signature covers it.
    ///
    /// # Errors
    /// [`InvalidUrl`] if it has no host, or another scheme than `http` and `https`.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUrl)?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(Self(uri)),
            _ => Err(InvalidUrl),
        }
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    /// When the URL was signed, by its `X-Amz-Date`.
    pub(crate) fn signed_at(&self) -> Option<SystemTime> {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let signed = PrimitiveDateTime::parse(self.parameter("X-Amz-Date")?, format).ok()?;
        Some(signed.assume_utc().into())
    }

    /// How long it can be used from then on, by its `X-Amz-Expires`.
    pub(crate) fn expires_after(&self) -> Option<Duration> {
        self.parameter("X-Amz-Expires")?.parse().ok().map(Duration::from_secs)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.0.query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The host, which is not secret: it tells an operator which endpoint could not be reached.
    pub(crate) fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }
}

impl fmt::Debug for ResponseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseUrl(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str =
        "https://bucket.s3.amazonaws.com/arn%3Aaws%7CDbInit%7Cb2c?X-Amz-Signature=51%2Bgn&Expires=7200";

    #[test]
    fn path_and_query_are_kept_byte_for_byte() {
        let url = ResponseUrl::parse(SIGNED).unwrap();
        assert_eq!(url.uri().to_string(), SIGNED);
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        let shown = format!("{:?}", ResponseUrl::parse(SIGNED).unwrap());
        assert_eq!(shown, "ResponseUrl(…)");
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_repeated() {
        for text in
            ["", "/path?X-Amz-Signature=secret", "ftp://host/secret", "https:///secret", "not a url secret"]
        {
            let error = ResponseUrl::parse(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{text}");
        }
    }
}
