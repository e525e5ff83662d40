//! What goes over the wire for the gateway itself: its small bodies in, its answers out.

use bytes::Bytes;
use http::{Response, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::Ctx;
use crate::endpoint;

/// Writes an answer of ours.
pub(super) async fn answer(session: &mut Session, ctx: &mut Ctx, response: Response<Bytes>) -> Result<()> {
    let (parts, body) = response.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 1))?;
    for (name, value) in &parts.headers {
        head.append_header(name, value)?;
    }
    let bare = session.req_header().method == http::Method::HEAD;
    if !parts.headers.contains_key(header::CONTENT_LENGTH) {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    ctx.answered = Some(parts.status);
    // A body that nobody wants must not be taken for the next request.
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    let end = bare || body.is_empty();
    session.write_response_header(Box::new(head), end).await?;
    if !end {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// A body for one of our own endpoints; `None` if it is larger than any of them reads.
pub(super) async fn small_body(session: &mut Session) -> Result<Option<Bytes>> {
    let mut body = Vec::new();
    while let Some(chunk) = session.read_request_body().await? {
        if body.len() + chunk.len() > endpoint::MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(Bytes::from(body)))
}

/// The status that tells a client what failed; 0 if there is nobody to tell.
pub(super) fn status_of(error: &Error) -> u16 {
    match error.etype() {
        ErrorType::HTTPStatus(code) => *code,
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout | ErrorType::ReadTimedout
            if *error.esource() == ErrorSource::Upstream =>
        {
            504
        }
        _ => match error.esource() {
            ErrorSource::Upstream => 502,
            ErrorSource::Downstream => match error.etype() {
                ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed => 0,
                ErrorType::ReadTimedout => 408,
                _ => 400,
            },
            ErrorSource::Internal | ErrorSource::Unset => 502,
        },
    }
}
