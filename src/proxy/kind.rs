//! What an exchange turns out to be, for the counts of what was cut.

use http::{StatusCode, header};
use pingora::http::ResponseHeader;

use crate::exchanges::Kind;

/// Bytes from which a body counts as an upload or a download.
pub(super) const LONG_BODY: u64 = 1 << 20;

/// What kind of exchange an answer makes of a request.
pub(super) fn kind(response: &ResponseHeader, asked: Kind) -> Kind {
    let of = |name: header::HeaderName| response.headers.get(name).and_then(|v| v.to_str().ok());
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        Kind::WebSocket
    } else if of(header::CONTENT_TYPE).is_some_and(|t| t.starts_with("text/event-stream")) {
        Kind::EventStream
    } else if of(header::CONTENT_LENGTH).and_then(|l| l.parse::<u64>().ok()).is_some_and(|l| l > LONG_BODY) {
        Kind::Download
    } else if asked == Kind::WebSocket {
        Kind::Request
    } else {
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_what_an_exchange_is() {
        for (status, name, value, asked, expected) in [
            (101, "upgrade", "websocket", Kind::WebSocket, Kind::WebSocket),
            (403, "content-length", "10", Kind::WebSocket, Kind::Request),
            (200, "content-type", "text/event-stream; charset=utf-8", Kind::Request, Kind::EventStream),
            (200, "content-length", "1048576", Kind::Request, Kind::Request),
            (200, "content-length", "1048577", Kind::Request, Kind::Download),
            (200, "content-length", "10", Kind::Upload, Kind::Upload),
        ] {
            let mut response = ResponseHeader::build(status, None).expect("response");
            response.insert_header(name, value).expect("header");
            assert_eq!(kind(&response, asked), expected, "{status} {name}: {value}");
        }
    }
}
