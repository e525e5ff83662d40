//! The console's answers.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::admin::Problem;

/// Nothing from elsewhere, no script and no style inside a page, in nobody's frame, and no text that becomes a page:
/// scripts make elements, never HTML.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// A value in JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    // Serialising plain structs with string keys into memory has no failing case.
    let body = serde_json::to_string(value).unwrap_or_default();
    of(status, "application/json", Bytes::from(body))
}

/// What is wrong.
pub(super) fn problem(status: StatusCode, error: &str) -> Response<Bytes> {
    json(status, &Problem::new(error))
}

/// What the gateway refuses, as the admin listener would tell it.
pub(super) fn refused((status, problem): (StatusCode, Problem)) -> Response<Bytes> {
    json(status, &problem)
}

/// A page, or what pages are made of.
pub(super) fn of(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}
