//! Keys as NATS writes them, and what is signed with them: made when a test runs, so that none is in the repository.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Whose key it is, by the first byte of its public form.
#[derive(Copy, Clone)]
pub(crate) enum Kind {
    /// Who vouches for accounts.
    Operator = 14 << 3,
    /// Who vouches for users.
    Account = 0,
    /// Who connects.
    User = 20 << 3,
}

/// A key pair.
pub(crate) struct Nkey {
    kind: Kind,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl Nkey {
    /// A new one.
    pub(crate) fn new(kind: Kind) -> Self {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).expect("chance");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
        Self { kind, seed, pair }
    }

    /// What servers know it by.
    pub(crate) fn public(&self) -> String {
        written([&[self.kind as u8], self.pair.public_key().as_ref()].concat())
    }

    /// What its owner keeps.
    pub(crate) fn seed(&self) -> String {
        const SEED: u8 = 18 << 3;
        let kind = self.kind as u8;
        written([&[SEED | (kind >> 5), (kind & 31) << 3], self.seed.as_slice()].concat())
    }

    /// A JWT of this key about `subject`.
    pub(crate) fn vouches_for(&self, subject: &str, nats: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({ "jti": subject, "iat": 1_700_000_000, "iss": self.public(), "name": "test", "sub": subject, "nats": nats });
        let signed = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes())))
    }
}

/// An operator with one account, and one user of it.
pub(crate) struct Realm {
    /// What stands in the servers' config.
    pub(crate) config: String,
    /// What stands in the user's `.creds` file.
    pub(crate) credentials: String,
}

impl Realm {
    /// A new one; nobody else's credentials are accepted in it.
    pub(crate) fn new() -> Self {
        let (operator, account, user) = (Nkey::new(Kind::Operator), Nkey::new(Kind::Account), Nkey::new(Kind::User));
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let own = operator.vouches_for(&operator.public(), &json!({ "type": "operator", "version": 2 }));
        let about = json!({ "type": "account", "version": 2, "limits": limits });
        let accounts = operator.vouches_for(&account.public(), &about);
        // JetStream does not start without the account in which servers speak with each other.
        let system = Nkey::new(Kind::Account).public();
        let systems = operator.vouches_for(&system, &json!({ "type": "account", "version": 2 }));
        let about = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let users = account.vouches_for(&user.public(), &about);
        Self {
            config: format!(
                "operator: \"{own}\"\nsystem_account: {system}\nresolver: MEMORY\n\
                 resolver_preload {{ {}: \"{accounts}\", {system}: \"{systems}\" }}\n",
                account.public()
            ),
            credentials: format!(
                "-----BEGIN NATS USER JWT-----\n{users}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
                user.seed()
            ),
        }
    }
}

/// In base 32 (RFC 4648 §6), with a checksum (CRC-16/XMODEM) at its end.
fn written(mut bytes: Vec<u8>) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut crc = 0_u16;
    for byte in &bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    bytes.extend(crc.to_le_bytes());
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0);
    for byte in bytes {
        (held, bits) = ((held << 8) | u32::from(byte), bits + 8);
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(LETTERS[(held << (5 - bits)) as usize & 31]));
    }
    text
}
