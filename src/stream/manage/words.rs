//! How a stream is managed, and what may be wrong with that.

use crate::event::stream_config::{Unusable, Wanted};
use crate::stream::authorization::{Credential, NoToken};
use crate::stream::discovery::NotFound;

/// How a stream is managed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is asked for.
    pub wanted: Wanted,
    /// The stream's name at the transmitter, where it must be that one.
    pub stream_id: Option<String>,
    /// What is presented.
    pub credential: Credential,
    /// Hosts, besides the issuer's own, that may be called with it.
    pub hosts: Vec<String>,
    /// Whom the transmitter is asked to tell about.
    pub subjects: Subjects,
}

/// Whom the transmitter tells about by itself.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Subjects {
    /// Its metadata say so (`default_subjects`).
    #[default]
    Auto,
    /// Everybody: nobody need be added.
    All,
    /// Nobody: whoever signs in is added.
    None,
}

/// Why a call of stream management came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The transmitter's metadata cannot be had.
    #[error(transparent)]
    Metadata(#[from] NotFound),
    /// There is no token to call with.
    #[error(transparent)]
    Token(#[from] NoToken),
    /// The transmitter does not offer that.
    #[error("the transmitter's metadata name no `{0}`: it does not offer that")]
    NotOffered(&'static str),
    /// 405: it offers less than its metadata say, or than others.
    #[error("the transmitter does not allow that ({0})")]
    NotAllowed(u16),
    /// 401, also with a new token.
    #[error("the transmitter does not accept our token (401): check `manage`")]
    Unauthorized,
    /// 403: nothing gets better by itself.
    #[error("the transmitter forbids it (403): check what the token or client of `manage` is allowed there")]
    Forbidden,
    /// 404: it does not have the stream.
    #[error("the transmitter does not have the stream (404)")]
    Gone,
    /// 409, and no stream that could be ours.
    #[error("the transmitter has another stream already (409) and does not show it; delete it there")]
    Conflict,
    /// 429.
    #[error("the transmitter was asked too often (429)")]
    TooOften,
    /// 202: it will do it, some time.
    #[error("the transmitter has not done it yet (202); it is asked again later")]
    Pending,
    /// Another status that is no success.
    #[error("the transmitter answers {0}")]
    Status(u16),
    /// No answer.
    #[error("the transmitter cannot be reached")]
    Unreachable,
    /// An answer that is none.
    #[error("the transmitter's answer cannot be used: {0}")]
    Unusable(#[from] Unusable),
    /// What it can send ends nobody's session (SSF §8.1.1, `events_delivered`).
    #[error("the transmitter will send no event on this stream that ends a session: see `portcullis stream show`")]
    CannotRevoke,
    /// Nobody has found the stream yet.
    #[error("the stream is not found or made yet")]
    NoStream,
    /// It is another gateway's to make it, or nobody can tell whose.
    #[error(
        "the transmitter does not have the stream; the gateway that leads it makes it once the engine says which that is"
    )]
    NotOurs,
}

impl Trouble {
    /// True if it stays so until somebody changes the config, here or there.
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Unauthorized
            | Self::Forbidden
            | Self::Conflict
            | Self::NotOffered(_)
            | Self::NotAllowed(_)
            | Self::CannotRevoke
            | Self::Unusable(_)
            | Self::Token(NoToken::Refused(_) | NoToken::Unpresentable)
            | Self::Metadata(NotFound::Unusable(_)) => true,
            Self::Metadata(NotFound::NotYet | NotFound::Unreachable)
            | Self::Token(NoToken::NotYet | NoToken::Unreachable | NoToken::Status(_) | NoToken::Unusable)
            | Self::Gone
            | Self::TooOften
            | Self::Pending
            | Self::Status(_)
            | Self::Unreachable
            | Self::NoStream
            | Self::NotOurs => false,
        }
    }

    /// True if another gateway may have more success.
    pub const fn is_out_of_reach(&self) -> bool {
        match self {
            Self::Metadata(_)
            | Self::Token(_)
            | Self::Unauthorized
            | Self::Forbidden
            | Self::Status(_)
            | Self::Unreachable => true,
            Self::NotOffered(_)
            | Self::NotAllowed(_)
            | Self::Gone
            | Self::Conflict
            | Self::TooOften
            | Self::Pending
            | Self::Unusable(_)
            | Self::CannotRevoke
            | Self::NoStream
            | Self::NotOurs => false,
        }
    }
}
