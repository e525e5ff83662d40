//! What the IdP gave us to ask after a session with, as it is kept: sealed, and bound to the session.

use crate::lineage::Lineage;
use crate::seal::{KeyRing, Purpose};
use crate::secret::Secret;
use crate::session::{Reader, SessionId, put_text};

/// The version of the layout inside the seal.
const VERSION: u8 = 1;

/// The refresh token of one session, with what it takes to judge the session and the IdP's answer.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Every handle of the session.
    pub lineage: Lineage,
    /// The person in the issuer's words (`sub`).
    pub subject: String,
    /// The app that the person signed in for.
    pub app: String,
    /// The refresh token.
    pub token: Secret<String>,
}

impl Grant {
    /// Seals it, under the key that hashed its targets: once that leaves the ring the session is over, and so is this.
    /// `None` if it has no layout, the key has gone, or the system has no randomness to give.
    pub fn seal(&self, ring: &KeyRing) -> Option<String> {
        let mut out = zeroize::Zeroizing::new(Vec::with_capacity(2_048));
        out.push(VERSION);
        self.lineage.write(&mut out)?;
        put_text(&mut out, &self.subject)?;
        put_text(&mut out, &self.app)?;
        put_text(&mut out, self.token.expose())?;
        ring.seal_under(self.lineage.key, Purpose::Grant, &self.lineage.session.to_string(), &out)
    }

    /// Opens what [`Grant::seal`] made for that session.
    pub fn open(ring: &KeyRing, session: SessionId, sealed: &str) -> Option<Self> {
        let opened = ring.open(Purpose::Grant, &session.to_string(), sealed).ok()?;
        let text = zeroize::Zeroizing::new(opened.text);
        let mut at = Reader(&text);
        if at.byte()? != VERSION {
            return None;
        }
        let lineage = Lineage::read(&mut at, opened.key)?;
        let (subject, app, token) = (at.text()?, at.text()?, Secret::new(at.text()?));
        (lineage.session == session).then_some(Self { lineage, subject, app, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, Issuer};
    use crate::session::Session;
    use crate::time::Timestamp;

    fn ring(keys: &[&str]) -> KeyRing {
        KeyRing::parse(keys.iter().copied()).expect("keys").expect("a ring")
    }

    #[test]
    fn a_grant_opens_for_its_session_and_under_its_key_only() {
        let [old, new] = [0, 1].map(|_| crate::seal::generate_key().expect("key"));
        let before = ring(&[old.expose()]);
        let identity = Identity {
            issuer: Issuer::parse("https://idp.example.com").expect("issuer"),
            subject: "ann".into(),
            sid: Some("08a5019c-17e1".into()),
            email: None,
            phone: None,
            preferred_username: None,
            groups: vec!["staff".into()],
            tenant: None,
            device: None,
            asserted_at: Timestamp::from_secs(1_000),
            auth_time: Some(Timestamp::from_secs(900)),
            session_expiry: None,
        };
        let (id, other) = (SessionId([1; 16]), SessionId([2; 16]));
        let session = Session::begin(id, "corp", &identity, vec![], &before, Timestamp::from_secs(1_000));
        let grant = Grant {
            lineage: Lineage::of(&session),
            subject: "ann".into(),
            app: "wiki".into(),
            token: Secret::new("r".repeat(4_000)),
        };
        let sealed = grant.seal(&before).expect("sealed");
        let both = ring(&[new.expose(), old.expose()]);
        let opened = Grant::open(&both, id, &sealed).expect("opens");
        assert_eq!((&opened.lineage, opened.subject.as_str(), opened.app.as_str()), (&grant.lineage, "ann", "wiki"));
        assert_eq!(opened.token.expose(), grant.token.expose());
        // A rotated token stays under the key of the session.
        let again = Grant { token: Secret::new("s".into()), ..opened }.seal(&both).expect("sealed");
        assert!(Grant::open(&before, id, &again).is_some());
        for (what, ring, session, text) in [
            ("another session", &both, other, sealed.as_str()),
            ("another key", &ring(&[new.expose()]), id, sealed.as_str()),
            ("nothing", &both, id, ""),
            ("half", &both, id, sealed.split_at(sealed.len() / 2).0),
        ] {
            assert!(Grant::open(ring, session, text).is_none(), "{what}");
        }
        assert!(grant.seal(&ring(&[new.expose()])).is_none(), "its key has gone");
        let huge = Grant { token: Secret::new("x".repeat(70_000)), ..grant };
        assert!(huge.seal(&before).is_none());
    }
}
