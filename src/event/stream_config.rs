//! What a transmitter says about itself (SSF §7.1) and about a stream (SSF §8.1.1, §8.1.2), and what a receiver asks of it.
//!
//! Whose answer it is decides: `iss` is compared byte for byte in every one of them, `aud` must hold one of our names, and
//! no URL in an answer is called unless it stands at the transmitter or at a host that the config names: what we call, we
//! show our token to.

mod metadata;

use std::time::Duration;

use serde_json::{Map, Value, json};
use url::Url;

pub use self::metadata::{Metadata, Places};
use super::{StreamStatus, bounded_text};
use crate::identity::Issuer;
use crate::secret::Secret;

/// Bytes of an answer that are read: a configuration has two thousand, a list of them a few times that.
pub const MAX_ANSWER: usize = 256 * 1024;

/// How events travel.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// The transmitter calls us (RFC 8935).
    Push,
    /// We call the transmitter (RFC 8936).
    Poll,
}

impl Method {
    /// Its name in requests.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Push => "urn:ietf:rfc:8935",
            Self::Poll => "urn:ietf:rfc:8936",
        }
    }

    /// The method of that name, today's or the one before it.
    fn parse(uri: &str) -> Option<Self> {
        match uri {
            "urn:ietf:rfc:8935" | "https://schemas.openid.net/secevent/risc/delivery-method/push" => Some(Self::Push),
            "urn:ietf:rfc:8936" | "https://schemas.openid.net/secevent/risc/delivery-method/poll" => Some(Self::Poll),
            _ => None,
        }
    }
}

/// Why an answer of a transmitter cannot be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unusable {
    /// It is not the JSON that SSF says.
    #[error("it is not the JSON that SSF says")]
    Form,
    /// It names another issuer than the configured one, or none.
    #[error("its issuer is not the configured `issuer`, byte for byte")]
    Issuer,
    /// Events are addressed to somebody else.
    #[error("its `aud` is none of the configured `audience`: no event would count; set `audience` to what it says")]
    Audience,
    /// It has no usable `stream_id`, or another than was asked for.
    #[error("its `stream_id` is missing, or not the one that was asked for")]
    StreamId,
    /// It has no usable delivery, or another method than ours.
    #[error("its delivery is not the configured one")]
    Delivery,
    /// A URL in it is none that our token may be sent to.
    #[error("it names a URL that is neither at the issuer nor at one of `manage.hosts`")]
    Place,
    /// Its status is none of those that SSF knows.
    #[error("its status is none that SSF knows")]
    Status,
}

/// What a receiver asks of a stream: the members that are its own to say, and no others (SSF §8.1.1.1).
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How events shall travel.
    pub method: Method,
    /// Where they are pushed; a polled stream's place is the transmitter's to say.
    pub endpoint: Option<Url>,
    /// The `Authorization` value that the transmitter shall push with (SSF §6.1.1).
    pub authorization: Option<Secret<String>>,
    /// The event types that are asked for.
    pub events: Vec<String>,
    /// By what people recognise the stream at the transmitter.
    pub description: String,
}

impl Wanted {
    /// The body of a request that creates it (SSF §8.1.1.1).
    pub fn create(&self) -> Value {
        let mut delivery = json!({ "method": self.method.uri() });
        if let Some(endpoint) = &self.endpoint {
            set(&mut delivery, "endpoint_url", endpoint.as_str());
        }
        if let Some(authorization) = &self.authorization {
            set(&mut delivery, "authorization_header", authorization.expose().as_str());
        }
        json!({ "delivery": delivery, "events_requested": self.events, "description": self.description })
    }

    /// The body of a request that changes or replaces `stream` (SSF §8.1.1.3, §8.1.1.4): all that is ours to say, so that
    /// both mean the same. A polled stream keeps the place that the transmitter gave it.
    pub fn change(&self, stream: &Configuration) -> Value {
        let mut body = self.create();
        if let (Method::Poll, Some(endpoint), Some(delivery)) =
            (self.method, &stream.endpoint, body.get_mut("delivery"))
        {
            set(delivery, "endpoint_url", endpoint.as_str());
        }
        set(&mut body, "stream_id", stream.stream_id.as_str());
        body
    }

    /// How far `stream` is from this.
    pub fn compare(&self, stream: &Configuration) -> Likeness {
        let same_place = self.method == Method::Poll || stream.endpoint == self.endpoint;
        let mut asked = [self.events.clone(), stream.events_requested.clone()];
        asked.iter_mut().for_each(|events| events.sort());
        let [ours, theirs] = asked;
        if stream.method != self.method || !same_place || (!theirs.is_empty() && ours != theirs) {
            return Likeness::Differs;
        }
        match (&self.authorization, &stream.authorization) {
            (Some(ours), Some(theirs)) if !ours.matches(theirs.expose()) => Likeness::Differs,
            (Some(_), None) => Likeness::SecretUnknown,
            (Some(_), Some(_)) | (None, _) => Likeness::Same,
        }
    }

    /// Whether `stream` is the one that this gateway made: pushed to our own URL, or polled under our description (which
    /// a transmitter may cut short).
    pub fn recognises(&self, stream: &Configuration) -> bool {
        match self.method {
            Method::Push => stream.method == Method::Push && stream.endpoint == self.endpoint,
            Method::Poll => {
                let described = stream.description.as_deref().filter(|text| !text.is_empty());
                stream.method == Method::Poll && described.is_some_and(|text| self.description.starts_with(text))
            }
        }
    }
}

/// How far a stream is from what is wanted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It is what is wanted.
    Same,
    /// As far as it shows. Whether it pushes with our secret it does not show.
    SecretUnknown,
    /// It is not what is wanted.
    Differs,
}

/// A stream, as the transmitter has it (SSF §8.1.1).
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Its name there.
    pub stream_id: String,
    /// Whom its events are addressed to; at least one of them is us.
    pub audiences: Vec<String>,
    /// How events travel.
    pub method: Method,
    /// Where to, or from where.
    pub endpoint: Option<Url>,
    /// What it pushes with, if it says so.
    pub authorization: Option<Secret<String>>,
    /// The event types that were asked for.
    pub events_requested: Vec<String>,
    /// The event types that can come (SSF §8.1.1: nothing else is to be relied on).
    pub events_delivered: Vec<String>,
    /// Verification must not be asked for more often.
    pub min_verification_interval: Option<Duration>,
    /// After so long without a sign of the receiver the transmitter may pause, disable or delete it.
    pub inactivity_timeout: Option<Duration>,
    /// By what people recognise it.
    pub description: Option<String>,
}

/// Whose answers count, and where our token may go.
#[derive(Copy, Clone, Debug)]
pub struct Expected<'a> {
    /// The transmitter.
    pub issuer: &'a Issuer,
    /// Our names.
    pub audiences: &'a [String],
    /// How events travel.
    pub method: Method,
    /// Where a polled stream's place may be.
    pub places: &'a Places,
}

impl Configuration {
    /// Reads the answer to a request that made, read or changed one stream; of `stream_id`, if that is known.
    pub fn parse(body: &[u8], stream_id: Option<&str>, expected: Expected<'_>) -> Result<Self, Unusable> {
        let value: Value = serde_json::from_slice(body).map_err(|_| Unusable::Form)?;
        let found = match value {
            // Some answer a question about one with a list of one.
            Value::Array(mut list) if list.len() == 1 => list.pop().unwrap_or_default(),
            value => value,
        };
        let found = Self::of(&found, expected)?;
        if stream_id.is_some_and(|known| known != found.stream_id) { Err(Unusable::StreamId) } else { Ok(found) }
    }

    /// Reads a list of streams (SSF §8.1.1.2); some transmitters answer with the one that there is. Those that are not of
    /// our method, or not for us, are passed over: they are another receiver's.
    pub fn parse_list(body: &[u8], expected: Expected<'_>) -> Result<Vec<Self>, Unusable> {
        let value: Value = serde_json::from_slice(body).map_err(|_| Unusable::Form)?;
        let list = match value {
            Value::Array(list) => list,
            // "There is none", in the words of some.
            Value::Object(object) if object.is_empty() => Vec::new(),
            value @ Value::Object(_) => vec![value],
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(Unusable::Form),
        };
        let (mut found, mut for_others) = (Vec::new(), false);
        for each in list.iter().take(MAX_STREAMS).filter(|each| method(each) == Some(expected.method)) {
            match Self::of(each, expected) {
                Ok(stream) => found.push(stream),
                Err(Unusable::Audience) => for_others = true,
                Err(unusable) => return Err(unusable),
            }
        }
        if found.is_empty() && for_others { Err(Unusable::Audience) } else { Ok(found) }
    }

    fn of(value: &Value, expected: Expected<'_>) -> Result<Self, Unusable> {
        let object = value.as_object().ok_or(Unusable::Form)?;
        // Other members of another's answer are worth nothing.
        if object.get("iss").and_then(Value::as_str) != Some(expected.issuer.as_str()) {
            return Err(Unusable::Issuer);
        }
        let stream_id = object.get("stream_id").and_then(|id| bounded_text(id, MAX_STREAM_ID));
        let stream_id = stream_id.ok_or(Unusable::StreamId)?;
        let audiences = match object.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            several => texts(several),
        };
        if !audiences.iter().any(|given| expected.audiences.contains(given)) {
            return Err(Unusable::Audience);
        }
        let delivery = object.get("delivery").and_then(Value::as_object).ok_or(Unusable::Delivery)?;
        let method = method(value).filter(|method| *method == expected.method).ok_or(Unusable::Delivery)?;
        let endpoint = delivery.get("endpoint_url").and_then(Value::as_str);
        let endpoint = endpoint.map(|text| Url::parse(text).map_err(|_| Unusable::Place)).transpose()?;
        match (method, &endpoint) {
            // Our token goes there.
            (Method::Poll, Some(url)) if !expected.places.allow(url) => return Err(Unusable::Place),
            (_, None) => return Err(Unusable::Delivery),
            (Method::Push | Method::Poll, Some(_)) => {}
        }
        let seconds = |name: &str| {
            let seconds = object.get(name).and_then(Value::as_u64).filter(|seconds| *seconds > 0);
            seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST)))
        };
        let header = delivery.get("authorization_header").and_then(Value::as_str);
        Ok(Self {
            stream_id,
            audiences,
            method,
            endpoint,
            authorization: header.map(|header| Secret::new(header.to_owned())),
            events_requested: texts(object.get("events_requested")),
            events_delivered: texts(object.get("events_delivered")),
            min_verification_interval: seconds("min_verification_interval"),
            inactivity_timeout: seconds("inactivity_timeout"),
            description: object.get("description").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

/// Reads the answer to a question about a stream's status (SSF §8.1.2.1), and why it is so.
pub fn parse_status(body: &[u8], stream_id: &str) -> Result<(StreamStatus, Option<String>), Unusable> {
    let answer = object(body)?;
    // Absent it is the one that was asked for.
    if answer.get("stream_id").is_some_and(|id| id.as_str() != Some(stream_id)) {
        return Err(Unusable::StreamId);
    }
    let status = answer.get("status").and_then(Value::as_str).and_then(StreamStatus::parse).ok_or(Unusable::Status)?;
    let reason = answer.get("reason").and_then(Value::as_str).filter(|reason| !reason.is_empty());
    Ok((status, reason.map(|reason| reason.chars().take(MAX_REASON).collect())))
}

/// The body of a request that sets a status (SSF §8.1.2.2).
pub fn status(stream_id: &str, status: StreamStatus) -> Value {
    json!({ "stream_id": stream_id, "status": status.word() })
}

/// The body of a request for a verification event (SSF §8.1.4.2).
pub fn verification(stream_id: &str, state: &str) -> Value {
    json!({ "stream_id": stream_id, "state": state })
}

/// The body of a request that adds or removes a person (SSF §8.1.3.2, §8.1.3.3).
pub fn subject(stream_id: &str, issuer: &Issuer, sub: &str) -> Value {
    json!({ "stream_id": stream_id, "subject": { "format": "iss_sub", "iss": issuer, "sub": sub } })
}

/// The scopes that a resource server publishes (RFC 9728 §2), if the document is of a resource at `origin`: those of SSF,
/// if it names them; else all that it names, as CAEP's profile wants it.
pub fn scopes(body: &[u8], origin: &Url) -> Option<Vec<String>> {
    let document = object(body).ok()?;
    let resource = Url::parse(document.get("resource")?.as_str()?).ok()?;
    let all = texts(document.get("scopes_supported"));
    let of_ssf: Vec<_> = all.iter().filter(|scope| SCOPES.contains(&scope.as_str())).cloned().collect();
    let chosen = if of_ssf.is_empty() { all } else { of_ssf };
    let plain = |scope: &String| scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    let usable = resource.origin() == origin.origin() && !chosen.is_empty() && chosen.iter().all(plain);
    usable.then_some(chosen)
}

/// The scopes that are asked for where nobody says which: to manage streams and to read them.
pub const SCOPES: [&str; 2] = ["ssf.manage", "ssf.read"];

/// The longest `stream_id` that is kept: it becomes part of URLs.
const MAX_STREAM_ID: usize = 512;
/// Streams of one answer that are looked at.
const MAX_STREAMS: usize = 64;
/// Characters of a reason that are kept.
const MAX_REASON: usize = 300;
/// The longest span that a transmitter can say, in seconds: ten years are "never".
const LONGEST: u64 = 10 * 365 * 86_400;
/// Texts of a list that are kept.
const MAX_TEXTS: usize = 128;

fn method(stream: &Value) -> Option<Method> {
    stream.get("delivery")?.get("method")?.as_str().and_then(Method::parse)
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Unusable> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(Unusable::Form),
    }
}

/// The texts of a list; what is no list has none.
fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().take(MAX_TEXTS).filter_map(|each| each.as_str().map(str::to_owned)).collect()
}

fn set(object: &mut Value, member: &str, text: &str) {
    if let Some(object) = object.as_object_mut() {
        object.insert(member.to_owned(), text.into());
    }
}

#[cfg(test)]
mod tests;
