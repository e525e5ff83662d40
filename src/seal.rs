//! Sealing what travels through other people's hands: cookies, flow state.
//!
//! AES-256-GCM under keys derived per purpose from each ring key; the purpose and the context (cookie name, host) are
//! authenticated with the text, so that a seal opens only as what it was made for. The newest key seals what is new,
//! every key of the ring opens, and what carries targets stays under the key that hashed them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::identity::TargetHasher;
use crate::secret::Secret;

/// What a seal is for. A seal of one purpose never opens as another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The gateway's own session cookie.
    Session,
    /// The state of one login under way.
    Flow,
    /// What the IdP wants to see at sign-out (the ID token).
    SignOut,
    /// A cookie that an app made.
    Cookie,
    /// A token that an app made.
    Token,
    /// What the IdP gave us to ask after a session with.
    Grant,
    /// What one gateway tells the others.
    Fleet,
}

impl Purpose {
    const ALL: [Self; 7] =
        [Self::Session, Self::Flow, Self::SignOut, Self::Cookie, Self::Token, Self::Grant, Self::Fleet];

    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"portcullis session 1",
            Self::Flow => b"portcullis flow 1",
            Self::SignOut => b"portcullis sign-out 1",
            Self::Cookie => b"portcullis cookie 1",
            Self::Token => b"portcullis token 1",
            Self::Grant => b"portcullis grant 1",
            Self::Fleet => b"portcullis fleet 1",
        }
    }
}

/// The text of a key file starts with this, so that a wrong file is told from a damaged one.
const KEY_PREFIX: &str = "portcullis-key-1:";
/// Bytes that name the key in a seal.
const KEY_ID_LEN: usize = 4;
const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// Why a text is no ring key.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The prefix of a key file is missing.
    #[error("it is not a key made by `portcullis keygen`")]
    NotAKey,
    /// The prefix is there, but not 32 bytes in base64url.
    #[error("the key is damaged")]
    Damaged,
}

/// Why a seal did not open. Callers treat all alike: the credential is not there.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not the form of a seal.
    #[error("it is not a seal")]
    Malformed,
    /// Sealed under a key that is not (any more) in the ring.
    #[error("it was sealed under another key")]
    UnknownKey,
    /// Changed on the way, or made for another purpose or context.
    #[error("it does not open")]
    Refused,
}

/// One key of the ring, with everything derived from it.
struct RingKey {
    id: KeyId,
    /// INVARIANT: one key per purpose, in the order of [`Purpose::ALL`].
    aeads: [LessSafeKey; Purpose::ALL.len()],
    hasher: TargetHasher,
}

/// The keys of the gateway, newest first. INVARIANT: never empty.
pub struct KeyRing(Vec<RingKey>);

/// The name of one key of the ring.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_LEN]);

/// A text and the key that opened it.
#[derive(Debug)]
pub struct Opened {
    /// The text that was sealed.
    pub text: Vec<u8>,
    /// The key that had sealed it.
    pub key: KeyId,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.0.len())
    }
}

/// Makes a new key, in the text of a key file. `None` if the system has no randomness to give.
pub fn generate_key() -> Option<Secret<String>> {
    let mut key = [0; KEY_LEN];
    rand::fill(&mut key).ok()?;
    Some(Secret::new(format!("{KEY_PREFIX}{}\n", URL_SAFE_NO_PAD.encode(key))))
}

/// 128 bits that nobody can guess, in hexadecimal digits. `None` if the system has no randomness to give.
pub fn unguessable() -> Option<String> {
    unguessable_bits().map(|bits| format!("{bits:032x}"))
}

/// The same as a number.
pub fn unguessable_bits() -> Option<u128> {
    let mut bits = [0; 16];
    rand::fill(&mut bits).ok()?;
    Some(u128::from_be_bytes(bits))
}

impl KeyRing {
    /// A ring of the keys in these files' texts, newest first. `Ok(None)` for no key at all.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, InvalidKey> {
        let keys: Vec<_> = texts.into_iter().map(RingKey::parse).collect::<Result<_, _>>()?;
        Ok((!keys.is_empty()).then_some(Self(keys)))
    }

    /// Seals `text` under the newest key, bound to `purpose` and `context`. In base64url, ready for a cookie.
    /// `None` if the system has no randomness to give.
    pub fn seal(&self, purpose: Purpose, context: &str, text: &[u8]) -> Option<String> {
        self.seal_under(self.newest(), purpose, context, text)
    }

    /// As [`KeyRing::seal`], under that key of the ring. For what carries targets that this key hashed: under a newer
    /// one it would outlive the key, and no revocation could meet it any more. `None` also if the key is not there.
    pub fn seal_under(&self, key: KeyId, purpose: Purpose, context: &str, text: &[u8]) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(self.sealed(key, purpose, context, text)?))
    }

    /// As [`KeyRing::seal`], in bytes.
    pub fn seal_bytes(&self, purpose: Purpose, context: &str, text: &[u8]) -> Option<Vec<u8>> {
        self.sealed(self.newest(), purpose, context, text)
    }

    fn sealed(&self, key: KeyId, purpose: Purpose, context: &str, text: &[u8]) -> Option<Vec<u8>> {
        let key = self.0.iter().find(|known| known.id == key)?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut body = Vec::with_capacity(KEY_ID_LEN + NONCE_LEN + text.len() + TAG_LEN);
        body.extend_from_slice(text);
        key.aead(purpose)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context.as_bytes()), &mut body)
            .ok()?;
        Some(key.id.0.into_iter().chain(nonce).chain(body).collect())
    }

    /// Opens what [`KeyRing::seal`] made for the same purpose and context.
    pub fn open(&self, purpose: Purpose, context: &str, sealed: &str) -> Result<Opened, OpenError> {
        // One buffer: it is opened where it was decoded.
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| OpenError::Malformed)?;
        self.open_bytes(purpose, context, sealed)
    }

    /// Opens what [`KeyRing::seal_bytes`] made for the same purpose and context.
    pub fn open_bytes(&self, purpose: Purpose, context: &str, sealed: Vec<u8>) -> Result<Opened, OpenError> {
        let mut text = sealed;
        let (id, rest) = text.split_first_chunk_mut::<KEY_ID_LEN>().ok_or(OpenError::Malformed)?;
        let (nonce, body) = rest.split_first_chunk_mut::<NONCE_LEN>().ok_or(OpenError::Malformed)?;
        let key = self.0.iter().find(|key| key.id.0 == *id).ok_or(OpenError::UnknownKey)?;
        let length = key
            .aead(purpose)
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context.as_bytes()), body)
            .map_err(|_| OpenError::Refused)?
            .len();
        text.drain(..KEY_ID_LEN + NONCE_LEN);
        text.truncate(length);
        Ok(Opened { text, key: key.id })
    }

    /// The names of all keys, newest first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(|key| key.id).collect()
    }

    /// The newest key: new sessions carry targets hashed under it, and are sealed under it.
    pub fn newest(&self) -> KeyId {
        self.first().id
    }

    /// The hasher of the newest key.
    pub fn hasher(&self) -> &TargetHasher {
        &self.first().hasher
    }

    /// The hasher of that key, if it is in the ring.
    pub fn hasher_of(&self, key: KeyId) -> Option<&TargetHasher> {
        self.0.iter().find(|known| known.id == key).map(|key| &key.hasher)
    }

    /// The hashers of all keys: a revocation is put in force under each.
    pub fn hashers(&self) -> Vec<&TargetHasher> {
        self.0.iter().map(|key| &key.hasher).collect()
    }

    fn first(&self) -> &RingKey {
        #[expect(clippy::indexing_slicing, reason = "a ring is never empty")]
        &self.0[0]
    }
}

impl RingKey {
    fn parse(text: &str) -> Result<Self, InvalidKey> {
        let encoded = text.trim().strip_prefix(KEY_PREFIX).ok_or(InvalidKey::NotAKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| InvalidKey::Damaged)?;
        let secret = <[u8; KEY_LEN]>::try_from(bytes).map_err(|_| InvalidKey::Damaged)?;
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis key ring").extract(&secret);
        let derive = |label: &[u8]| -> Result<[u8; KEY_LEN], InvalidKey> {
            let mut out = [0; KEY_LEN];
            root.expand(&[label], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut out))
                .map_err(|_| InvalidKey::Damaged)?;
            Ok(out)
        };
        let aead = |purpose: Purpose| -> Result<LessSafeKey, InvalidKey> {
            let key = UnboundKey::new(&AES_256_GCM, &derive(purpose.label())?).map_err(|_| InvalidKey::Damaged)?;
            Ok(LessSafeKey::new(key))
        };
        let [session, flow, sign_out, cookie, token, grant, fleet] = Purpose::ALL;
        let mut id = [0; KEY_ID_LEN];
        for (to, from) in id.iter_mut().zip(digest::digest(&digest::SHA256, &derive(b"portcullis key id")?).as_ref()) {
            *to = *from;
        }
        Ok(Self {
            id: KeyId(id),
            aeads: [
                aead(session)?,
                aead(flow)?,
                aead(sign_out)?,
                aead(cookie)?,
                aead(token)?,
                aead(grant)?,
                aead(fleet)?,
            ],
            hasher: TargetHasher::new(&derive(b"portcullis targets 1")?),
        })
    }

    fn aead(&self, purpose: Purpose) -> &LessSafeKey {
        let [session, flow, sign_out, cookie, token, grant, fleet] = &self.aeads;
        match purpose {
            Purpose::Session => session,
            Purpose::Flow => flow,
            Purpose::SignOut => sign_out,
            Purpose::Cookie => cookie,
            Purpose::Token => token,
            Purpose::Grant => grant,
            Purpose::Fleet => fleet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Secret<String> {
        generate_key().expect("randomness")
    }

    fn ring(texts: &[&Secret<String>]) -> KeyRing {
        KeyRing::parse(texts.iter().map(|t| t.expose().as_str())).expect("keys").expect("at least one")
    }

    #[test]
    fn a_seal_opens_only_for_its_purpose_its_context_and_its_ring() {
        let key = text();
        let sealed = ring(&[&key]).seal(Purpose::Session, "wiki.example.com", b"ann").expect("sealed");
        let open = |r: &KeyRing, p, c| r.open(p, c, &sealed).map(|o| o.text);
        assert_eq!(open(&ring(&[&key]), Purpose::Session, "wiki.example.com"), Ok(b"ann".to_vec()));
        assert_eq!(open(&ring(&[&key]), Purpose::Flow, "wiki.example.com"), Err(OpenError::Refused));
        assert_eq!(open(&ring(&[&key]), Purpose::Session, "mail.example.com"), Err(OpenError::Refused));
        assert_eq!(open(&ring(&[&text()]), Purpose::Session, "wiki.example.com"), Err(OpenError::UnknownKey));
    }

    #[test]
    fn an_older_key_opens_and_what_is_sealed_under_it_goes_with_it() {
        let (old, new) = (text(), text());
        let sealed = ring(&[&old]).seal(Purpose::Session, "", b"x").expect("sealed");
        let both = ring(&[&new, &old]);
        let opened = both.open(Purpose::Session, "", &sealed).expect("opens");
        assert_eq!(opened.text, b"x");
        assert_ne!(opened.key, both.newest());
        let again = both.seal_under(opened.key, Purpose::Session, "", b"y").expect("sealed");
        assert_eq!(ring(&[&old]).open(Purpose::Session, "", &again).map(|o| o.text), Ok(b"y".to_vec()));
        let left = ring(&[&new]);
        assert_eq!(left.open(Purpose::Session, "", &again).err(), Some(OpenError::UnknownKey));
        assert_eq!(left.seal_under(opened.key, Purpose::Session, "", b"z"), None);
    }

    #[test]
    fn no_change_of_any_byte_opens() {
        let ring = ring(&[&text()]);
        let sealed = ring.seal(Purpose::Session, "h", b"some text").expect("sealed");
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(ring.open(Purpose::Session, "h", &URL_SAFE_NO_PAD.encode(&changed)).is_err(), "byte {at}");
            assert!(ring.open(Purpose::Session, "h", &URL_SAFE_NO_PAD.encode(&bytes[..at])).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_wrong_key_file_is_told_from_a_damaged_one() {
        for (text, expected) in [
            ("", InvalidKey::NotAKey),
            ("c2VjcmV0", InvalidKey::NotAKey),
            ("portcullis-key-1:", InvalidKey::Damaged),
            ("portcullis-key-1:c2hvcnQ", InvalidKey::Damaged),
            ("portcullis-key-1:!!!", InvalidKey::Damaged),
        ] {
            assert_eq!(KeyRing::parse([text]).err(), Some(expected), "`{text}`");
        }
    }
}
