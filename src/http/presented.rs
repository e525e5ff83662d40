//! What we show others so that they know us, and what they ask of us in return: fields of requests and answers that more than
//! one caller needs. A value that proves who we are is shown by nobody's `Debug`, and its text is wiped.

use std::time::Duration;

use ::http::header::RETRY_AFTER;
use ::http::{HeaderValue, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::backoff;
use crate::secret::Secret;

/// An `Authorization` value, as it is.
fn sensitive(text: &Secret<String>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A bearer token (RFC 6750 §2.1).
pub(crate) fn bearer(token: &Secret<String>) -> Option<HeaderValue> {
    sensitive(&Secret::new(format!("Bearer {}", token.expose())))
}

/// A client's name and secret, each encoded as in a form (RFC 6749 §2.3.1).
pub(crate) fn basic(id: &str, secret: &Secret<String>) -> Option<HeaderValue> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Secret::new(format!("{}:{}", encoded(id), encoded(secret.expose())));
    sensitive(&Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))))
}

/// How long whoever answered wants to be left alone.
pub(crate) fn retry_after(answer: &Response<Vec<u8>>) -> Option<Duration> {
    backoff::retry_after(answer.headers().get(RETRY_AFTER)?.to_str().ok()?)
}
