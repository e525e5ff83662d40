//! What letters say, and the seal around it.
//!
//! A body is a format byte and a seal bound to whom the letter is for; in the seal stand what kind of message it is, who sent
//! it, and the message. Facts are the bytes of the ledger's records.

use super::ask::{Answer, Ask};
use super::engine::{GatewayId, Letter, To};
use super::report::Report;
use super::sign::Seen;
use crate::revocation::{self, Fact, decode};
use crate::seal::{KeyRing, OpenError, Purpose, unguessable};

/// The form of the bodies that this gateway writes.
const FORMAT: u8 = 1;
/// Kinds of messages. A number is never used for another.
const FACT: u8 = 1;
const BEAT: u8 = 2;
const REPORT: u8 = 128;
const ASK: u8 = 129;
const ANSWER: u8 = 130;
const SIGN: u8 = 131;
/// From here on kinds are of no concern to what is in force: a gateway that does not know one passes it over.
const PASSING: u8 = 128;
const ID_LEN: usize = 16;
/// Bytes of a text that gateways know each other's by; a stranger's may be longer.
pub(super) const LONGEST_MARK: usize = 256;

/// What one gateway tells another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// What one knows, all shall know.
    Fact(Fact),
    /// Says to its own sender that everything before it has arrived.
    Beat(u128),
    /// What one saw of a stream.
    Sign(Seen),
    /// How far its sender is, and what it counted.
    Report(Box<Report>),
    /// What would be met, if?
    Ask(Box<Ask>),
    /// That would be.
    Answer(Box<Answer>),
    /// Something that a newer gateway says in passing.
    Other,
}

/// A message and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) from: GatewayId,
    pub(super) word: Word,
}

/// Why a letter says nothing to us.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegible {
    /// Written by a newer gateway: this one must be updated to obey it.
    #[error("a newer gateway wrote it")]
    Newer,
    /// Sealed under a key that this gateway does not have.
    #[error("it is sealed under a key that is not in `keys.files`")]
    UnknownKey,
    /// No gateway of ours wrote it, or not for this reader.
    #[error("no gateway of this fleet wrote it")]
    Forged,
}

impl Illegible {
    /// The word for it, where it is counted.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Newer => "newer",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
        }
    }

    /// True if another version or key ring of this gateway may be able to read it.
    pub(super) const fn may_be_read_later(self) -> bool {
        matches!(self, Self::Newer | Self::UnknownKey)
    }
}

/// The letter that tells everyone what `record`, of that number in `from`'s ledger, says. `None` if the system has no
/// randomness to give.
pub(super) fn fact(ring: &KeyRing, from: GatewayId, seq: i64, record: &[u8]) -> Option<Letter> {
    let body = seal(ring, To::Everyone, FACT, from, record)?;
    // Nobody without the key ring knows it beforehand: an engine that keeps the second of two away would keep a fact away
    // whose id somebody else had used. And a ledger that was restored counts again from where it was.
    let number = ring.hasher().number(&format!("{from} {seq} {}", String::from_utf8_lossy(record)));
    Some(Letter { id: format!("fact-{number:032x}"), to: To::Everyone, body })
}

/// The letter by which `from` sees whether letters arrive.
pub(super) fn beat(ring: &KeyRing, from: GatewayId, nonce: u128) -> Option<Letter> {
    let body = seal(ring, To::One(from), BEAT, from, &nonce.to_be_bytes())?;
    Some(Letter { id: format!("beat-{from}-{nonce:032x}"), to: To::One(from), body })
}

/// The letter that tells everyone what `from` saw of a stream.
pub(super) fn sign(ring: &KeyRing, from: GatewayId, seen: &Seen) -> Option<Letter> {
    let body = seal(ring, To::Everyone, SIGN, from, &serde_json::to_vec(seen).ok()?)?;
    Some(Letter { id: format!("sign-{from}-{}", unguessable()?), to: To::Everyone, body })
}

/// A letter of what is said in passing: to everyone what `from` says of itself or asks, to one the answer.
pub(super) fn passing(ring: &KeyRing, from: GatewayId, said: &Passing) -> Option<Letter> {
    let (to, kind, text, id) = match said {
        Passing::Report(text, (life, number)) => {
            (To::Everyone, REPORT, text.clone(), format!("report-{from}-{life:016x}-{number}"))
        }
        Passing::Ask(ask) => (To::Everyone, ASK, ask.write(), format!("ask-{from}-{}", ask.id)),
        Passing::Answer(to, answer) => (To::One(*to), ANSWER, answer.write(), format!("answer-{from}-{}", answer.id)),
    };
    let body = seal(ring, to, kind, from, &text)?;
    (body.len() <= Letter::MAX_BODY).then_some(Letter { id, to, body })
}

/// What is said in passing.
#[derive(Clone, Debug)]
pub(super) enum Passing {
    /// A report as it is written, and its age.
    Report(Vec<u8>, (u64, u64)),
    /// A question to everyone.
    Ask(Ask),
    /// The answer to the one who asked.
    Answer(GatewayId, Answer),
}

fn seal(ring: &KeyRing, to: To, kind: u8, from: GatewayId, text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(1 + ID_LEN + text.len());
    plain.push(kind);
    plain.extend_from_slice(&from.0.to_be_bytes());
    plain.extend_from_slice(text);
    let mut body = vec![FORMAT];
    body.append(&mut ring.seal_bytes(Purpose::Fleet, &context(to), &plain)?);
    Some(body)
}

/// What a seal is bound to, so that nobody can pass a letter on to somebody else.
fn context(to: To) -> String {
    match to {
        To::Everyone => "everyone".to_owned(),
        To::One(gateway) => gateway.to_string(),
    }
}

/// Reads the body of a letter that is for `to`.
pub(super) fn read(ring: &KeyRing, to: To, body: &[u8]) -> Result<Message, Illegible> {
    let (format, sealed) = body.split_first().ok_or(Illegible::Forged)?;
    if *format != FORMAT {
        return Err(Illegible::Newer);
    }
    let opened = ring.open_bytes(Purpose::Fleet, &context(to), sealed.to_vec()).map_err(|why| match why {
        OpenError::UnknownKey => Illegible::UnknownKey,
        OpenError::Malformed | OpenError::Refused => Illegible::Forged,
    })?;
    let (kind, rest) = opened.text.split_first().ok_or(Illegible::Forged)?;
    let (from, text) = rest.split_first_chunk::<ID_LEN>().ok_or(Illegible::Forged)?;
    let from = GatewayId(u128::from_be_bytes(*from));
    let word = match *kind {
        FACT => Word::Fact(decode(text).map_err(|why| match why {
            revocation::Unreadable::Newer(_) => Illegible::Newer,
            revocation::Unreadable::Damaged => Illegible::Forged,
        })?),
        BEAT => Word::Beat(u128::from_be_bytes(text.try_into().map_err(|_| Illegible::Forged)?)),
        REPORT => Report::read(text).map_or(Word::Other, |report| Word::Report(Box::new(report))),
        ASK => Ask::read(text).map_or(Word::Other, |ask| Word::Ask(Box::new(ask))),
        ANSWER => Answer::read(text).map_or(Word::Other, |answer| Word::Answer(Box::new(answer))),
        SIGN => serde_json::from_slice(text).map_or(Word::Other, Word::Sign),
        kind if kind >= PASSING => Word::Other,
        _ => return Err(Illegible::Newer),
    };
    Ok(Message { from, word })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Sign;
    use crate::identity::{Issuer, Target};
    use crate::revocation::{Reestablished, encode};
    use crate::seal::generate_key;
    use crate::time::Timestamp;

    const ME: GatewayId = GatewayId(1);
    const OTHER: GatewayId = GatewayId(2);

    fn ring() -> KeyRing {
        let key = generate_key().expect("randomness");
        KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring")
    }

    fn known() -> Fact {
        let who = Target::everyone(&Issuer::parse("https://idp.example.com").expect("issuer"));
        Fact::Reestablished(Reestablished { who, at: Timestamp::from_secs(1_000) })
    }

    #[test]
    fn what_was_said_is_read() {
        let ring = ring();
        let told = fact(&ring, OTHER, 7, &encode(&known())).expect("sealed");
        assert_eq!(read(&ring, told.to, &told.body), Ok(Message { from: OTHER, word: Word::Fact(known()) }));
        let again = fact(&ring, OTHER, 7, &encode(&known())).expect("sealed");
        assert_eq!(again.id, told.id, "the same fact has the same id");
        for (from, seq, record) in [(ME, 7, encode(&known())), (OTHER, 8, encode(&known())), (OTHER, 7, b"{}".to_vec())]
        {
            assert_ne!(fact(&ring, from, seq, &record).expect("sealed").id, told.id, "and no other has it");
        }
        let beat = beat(&ring, ME, 5).expect("sealed");
        assert_eq!(read(&ring, To::One(ME), &beat.body), Ok(Message { from: ME, word: Word::Beat(5) }));
        let seen = Seen { stream: "corp".into(), at: Timestamp::from_secs(9), sign: Sign::Polled };
        let said = sign(&ring, OTHER, &seen).expect("sealed");
        assert_eq!(read(&ring, said.to, &said.body), Ok(Message { from: OTHER, word: Word::Sign(seen) }));
        let leaks = |letter: &Letter| letter.body.windows(7).any(|part| part == b"example");
        assert!(!leaks(&told), "the engine can read it");
    }

    #[test]
    fn whatever_no_gateway_of_ours_wrote_for_us_says_nothing() {
        let [ring, others] = [(); 2].map(|()| ring());
        let Letter { body, .. } = beat(&ring, ME, 5).expect("sealed");
        assert_eq!(read(&ring, To::One(OTHER), &body), Err(Illegible::Forged), "passed on to somebody else");
        assert_eq!(read(&ring, To::Everyone, &body), Err(Illegible::Forged), "passed on to everyone");
        assert_eq!(read(&others, To::One(ME), &body), Err(Illegible::UnknownKey));
        assert_eq!(read(&ring, To::One(ME), &[]), Err(Illegible::Forged));
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(read(&ring, To::One(ME), &changed).is_err(), "byte {at}");
            assert!(read(&ring, To::One(ME), &body[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_a_newer_gateway_writes_is_known_as_such() {
        let ring = ring();
        let Letter { mut body, .. } = beat(&ring, ME, 5).expect("sealed");
        body[0] = FORMAT + 1;
        assert_eq!(read(&ring, To::One(ME), &body), Err(Illegible::Newer), "another form");
        let body = seal(&ring, To::Everyone, 100, OTHER, b"{}").expect("sealed");
        assert_eq!(read(&ring, To::Everyone, &body), Err(Illegible::Newer), "another kind");
        for (kind, text) in [
            (250, &b"{}"[..]),
            (SIGN, br#"{"stream":"a","at":1,"sign":"Odd"}"#),
            (REPORT, b"{}"),
            (ASK, b""),
            (ANSWER, b"7"),
        ] {
            let body = seal(&ring, To::Everyone, kind, OTHER, text).expect("sealed");
            let passed_over = Message { from: OTHER, word: Word::Other };
            assert_eq!(read(&ring, To::Everyone, &body), Ok(passed_over), "said in passing: {kind}");
        }
        let body = seal(&ring, To::Everyone, FACT, OTHER, br#"{"v":99}"#).expect("sealed");
        assert_eq!(read(&ring, To::Everyone, &body), Err(Illegible::Newer), "another record");
    }
}
