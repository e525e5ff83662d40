//! An answer in which an app gives out tokens: held back until it is whole, its tokens sealed, then sent on.
//!
//! What is no JSON and no form, is no success, or is too large goes through as it is. Its tokens are unsealed, and will
//! not count when they come back.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::apps::{App, CanonicalPath, Field};
use crate::endpoint::{Endpoints, Tokens};
use crate::lineage::Media;

/// Bytes of an answer that is held back, packed or unpacked. Answers with tokens have a few hundred.
const MAX_ANSWER: usize = 1 << 20;

/// Why the tokens of an answer were not looked for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is larger than what is held back.
    TooLarge,
    /// It is packed in a way that is not known here.
    Packed,
}

impl Unread {
    /// The word for metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "answer_too_large",
            Self::Packed => "answer_packed",
        }
    }
}

/// Tokens that an answer is expected to give out.
#[derive(Debug)]
pub(super) struct Minted {
    fields: Vec<Field>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing came yet.
    Waiting,
    /// The body is held back.
    Holding { media: Media, packing: Packing, held: Vec<u8> },
    /// The rest goes through as it is; `unread` is still to be told.
    Through { unread: Option<Unread> },
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
}

impl Minted {
    /// What is expected of the answer to a request for `path`, if anything.
    pub(super) fn expected(app: &App, tokens: &Tokens, path: &CanonicalPath) -> Option<Self> {
        let fields = Endpoints::minted_fields(app, tokens, path);
        (!fields.is_empty()).then_some(Self { fields, state: State::Waiting })
    }

    /// True if tokens are expected in the body.
    pub(super) fn wants_body(&self) -> bool {
        self.fields.iter().any(|field| !matches!(field, Field::Redirect(_)))
    }

    /// The head of the answer is there; `bare`: no body follows, whatever it says.
    pub(super) fn begins(
        &mut self,
        response: &mut ResponseHeader,
        bare: bool,
        redirect: impl FnOnce(&[Field], &str) -> Option<String>,
    ) -> Result<()> {
        let location = response.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        if let Some(sealed) = location.and_then(|location| redirect(&self.fields, location)) {
            response.insert_header(header::LOCATION, sealed)?;
        }
        self.state = State::Through { unread: None };
        if bare || !self.wants_body() || !response.status.is_success() || response.status.as_u16() == 204 {
            return Ok(());
        }
        let text = |name| response.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
        let Some(media) = Media::of(text(header::CONTENT_TYPE)) else { return Ok(()) };
        let packing = match text(header::CONTENT_ENCODING).to_ascii_lowercase().as_str() {
            "" | "identity" => Packing::None,
            "gzip" | "x-gzip" => Packing::Gzip,
            _ => {
                self.state = State::Through { unread: Some(Unread::Packed) };
                return Ok(());
            }
        };
        if text(header::CONTENT_LENGTH).parse::<usize>().is_ok_and(|length| length > MAX_ANSWER) {
            self.state = State::Through { unread: Some(Unread::TooLarge) };
            return Ok(());
        }
        // How long it becomes is known only at its end; HTTP/2 says that by itself.
        if response.remove_header(&header::CONTENT_LENGTH).is_some() {
            response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
        // Sums over the body that was.
        for name in ["content-md5", "digest", "content-digest", "repr-digest", "etag"] {
            response.remove_header(name);
        }
        self.state = State::Holding { media, packing, held: Vec::new() };
        Ok(())
    }

    /// A piece of the body comes by; what goes on stands in its place.
    pub(super) fn passes(
        &mut self,
        body: &mut Option<Bytes>,
        end: bool,
        seal: impl FnOnce(&[Field], Media, &[u8]) -> Option<Vec<u8>>,
    ) -> Result<(), Unread> {
        let (media, packing, held) = match &mut self.state {
            State::Waiting => return Ok(()),
            State::Through { unread } => return unread.take().map_or(Ok(()), Err),
            State::Holding { media, packing, held } => (*media, *packing, held),
        };
        held.extend_from_slice(body.as_deref().unwrap_or_default());
        let too_large = held.len() > MAX_ANSWER;
        if !end && !too_large {
            *body = Some(Bytes::new());
            return Ok(());
        }
        let held = std::mem::take(held);
        self.state = State::Through { unread: None };
        let sealed = if too_large {
            Err(Unread::TooLarge)
        } else {
            sealed(&held, packing, |bytes| seal(&self.fields, media, bytes))
        };
        let (out, told) = match sealed {
            Ok(sealed) => (sealed.unwrap_or(held), Ok(())),
            Err(unread) => (held, Err(unread)),
        };
        *body = Some(Bytes::from(out));
        told
    }
}

/// The answer with its tokens sealed, packed as it was; `None` if there are none.
fn sealed(
    body: &[u8],
    packing: Packing,
    seal: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Unread> {
    if packing == Packing::None {
        return Ok(seal(body));
    }
    let mut plain = Vec::new();
    let limit = MAX_ANSWER as u64 + 1;
    GzDecoder::new(body).take(limit).read_to_end(&mut plain).map_err(|_| Unread::Packed)?;
    if plain.len() > MAX_ANSWER {
        return Err(Unread::TooLarge);
    }
    let Some(sealed) = seal(&plain) else { return Ok(None) };
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&sealed).and_then(|()| packed.finish()).map(Some).map_err(|_| Unread::Packed)
}
