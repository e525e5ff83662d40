//! OpenID Provider Commands 1.0 (draft 02): what a command token must be, and what is asked for of whom.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::{self, Call, Terms};
use super::{MAX_VALUE, bounded_text};
use crate::identity::Issuer;
use crate::jose::{Alg, Expectation, Reject, Verified};
use crate::time::Timestamp;

/// How long after it was made a token may say that it is good. The draft prefers two minutes (§Security Considerations).
pub const LONGEST_LIFE: Duration = Duration::from_secs(10 * 60);

/// The longest name of a command that is read. The draft lets others be absolute URIs.
const MAX_NAME: usize = 256;

/// The claims of a command token, read only by [`parse`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct CommandClaims(Map<String, Value>);

impl std::fmt::Debug for CommandClaims {
    /// A command token names a person: its claims are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CommandClaims")
    }
}

/// One verified command token, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandToken {
    /// The token's own id; it counts once.
    pub jti: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Until when it could be sent again.
    pub good_until: Timestamp,
    /// Whose tenant it is about, in the IdP's words. The draft's own examples leave it out.
    pub tenant: Option<String>,
    /// What is asked for.
    pub asked: Asked,
}

/// What a token asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What is supported here (§Metadata Command).
    Metadata,
    /// Something about one person.
    Account {
        /// What.
        what: OnAccount,
        /// Whom, by the IdP's `sub`.
        sub: String,
    },
    /// Something about everybody of a tenant.
    Tenant {
        /// What.
        what: OnTenant,
        /// Which.
        tenant: String,
    },
    /// A command that is not done here, or not known.
    Unsupported,
}

/// What can be asked for about one person (§Account Commands).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum OnAccount {
    /// Everything of theirs is over; they may sign in again.
    Invalidate,
    /// Everything is over, and nothing goes until they are reactivated.
    Suspend,
    /// What was suspended may sign in again.
    Reactivate,
    /// As suspended, until restored.
    Archive,
    /// What was archived may sign in again.
    Restore,
    /// As suspended, until activated.
    Delete,
    /// What was deleted, or was never here, may sign in.
    Activate,
    /// How they stand.
    Audit,
}

impl OnAccount {
    /// All of them, in the order of the draft.
    pub const ALL: [Self; 8] = [
        Self::Activate,
        Self::Suspend,
        Self::Reactivate,
        Self::Archive,
        Self::Restore,
        Self::Delete,
        Self::Audit,
        Self::Invalidate,
    ];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Invalidate => "invalidate",
            Self::Suspend => "suspend",
            Self::Reactivate => "reactivate",
            Self::Archive => "archive",
            Self::Restore => "restore",
            Self::Delete => "delete",
            Self::Activate => "activate",
            Self::Audit => "audit",
        }
    }
}

/// What can be asked for about a tenant (§Tenant Commands). To list its accounts is not among it: there is no list here.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum OnTenant {
    /// Everything of everybody is over; they may sign in again.
    Invalidate,
    /// Everything is over, and nobody gets in until an operator lifts it: the draft has no command for the way back.
    Suspend,
    /// As suspended.
    Archive,
    /// As suspended.
    Delete,
}

impl OnTenant {
    /// All of them, in the order of the draft.
    pub const ALL: [Self; 4] = [Self::Suspend, Self::Archive, Self::Delete, Self::Invalidate];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Invalidate => "invalidate_tenant",
            Self::Suspend => "suspend_tenant",
            Self::Archive => "archive_tenant",
            Self::Delete => "delete_tenant",
        }
    }
}

/// The command that is supported everywhere.
pub const METADATA: &str = "metadata";

impl Asked {
    /// The name of the command, where it is one that is done here.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Metadata => METADATA,
            Self::Account { what, .. } => what.word(),
            Self::Tenant { what, .. } => what.word(),
            Self::Unsupported => "unsupported",
        }
    }
}

/// What a command token must be, as [`call`] says it.
pub const fn expectation<'a>(issuer: &'a Issuer, endpoints: &'a [String], algs: &'a [Alg]) -> Expectation<'a> {
    call::expectation(&["command+jwt"], issuer, endpoints, algs)
}

/// Reads a verified command token for the client `client_id`.
///
/// The draft lets each command carry only the claims that it lists. What decides is held to that: whom it is about, what
/// only an ID token, a SET or a call-back has. Other claims are passed over: a kill must not fail for an ornament.
pub fn parse(token: Verified<CommandClaims>, client_id: &str) -> Result<CommandToken, Reject> {
    let times = (token.issued_at(), token.expires_at());
    let CommandClaims(claims) = token.into_inner();
    let terms = Terms { client: ("client_id", client_id), longest_life: LONGEST_LIFE };
    let Call { jti, issued_at, good_until } = Call::read(times, &claims, &terms)?;
    let text = |name: &'static str, max: usize| match claims.get(name) {
        None => Ok(None),
        Some(value) => bounded_text(value, max).map(Some).ok_or(Reject::Claim(name)),
    };
    let command = text("command", MAX_NAME)?.ok_or(Reject::Missing("command"))?;
    let (tenant, sub) = (text("tenant", MAX_VALUE)?, text("sub", MAX_VALUE)?);
    let asked = asked(&command, &claims, tenant.as_ref(), sub)?;
    Ok(CommandToken { jti, issued_at, good_until, tenant, asked })
}

fn asked(
    command: &str,
    claims: &Map<String, Value>,
    tenant: Option<&String>,
    sub: Option<String>,
) -> Result<Asked, Reject> {
    let forbid = |names: &[&'static str]| match names.iter().find(|name| claims.contains_key(**name)) {
        Some(name) => Err(Reject::Forbidden(name)),
        None => Ok(()),
    };
    if command == METADATA {
        forbid(&["sub", "aud_sub"])?;
        return Ok(Asked::Metadata);
    }
    if let Some(what) = OnTenant::ALL.into_iter().find(|what| what.word() == command) {
        // A person named in a command about everybody: one of the two is not meant.
        forbid(&["sub", "aud_sub", "callback_token"])?;
        let tenant = tenant.cloned().ok_or(Reject::Missing("tenant"))?;
        return Ok(Asked::Tenant { what, tenant });
    }
    if let Some(what) = OnAccount::ALL.into_iter().find(|what| what.word() == command) {
        // It belongs to the `_async` commands, and those are not done here.
        forbid(&["callback_token"])?;
        let sub = sub.ok_or(Reject::Missing("sub"))?;
        return Ok(Asked::Account { what, sub });
    }
    Ok(Asked::Unsupported)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::tests::Xorshift;
    use crate::jose::{self, Keys, Signer};

    const NOW: u64 = 1_700_000_000;
    const HERE: &str = "https://wiki.example.com/oauth2/commands/corp";
    const TYP: Option<&str> = Some("command+jwt");

    struct Idp {
        signer: Signer,
        keys: Keys,
        issuer: Issuer,
    }

    impl Idp {
        fn new() -> Self {
            let signer = Signer::generate("k1").expect("key");
            let keys = Keys::parse(signer.jwks().to_string().as_bytes()).expect("keys");
            Self { signer, keys, issuer: Issuer::parse("https://idp.example.com").expect("issuer") }
        }

        fn claims(&self) -> Value {
            json!({
                "iss": self.issuer, "aud": HERE, "client_id": "portcullis", "jti": "j1", "iat": NOW, "exp": NOW + 60,
                "command": "invalidate", "tenant": "ff6e7c96", "sub": "00u1",
            })
        }

        fn read(&self, typ: Option<&str>, changes: &Value) -> Result<CommandToken, Reject> {
            let mut claims = self.claims();
            for (name, value) in changes.as_object().expect("an object") {
                match value {
                    Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                    value => claims[name] = value.clone(),
                }
            }
            self.verify(&self.signer.sign(typ, &claims).expect("a token"))
        }

        fn verify(&self, compact: &str) -> Result<CommandToken, Reject> {
            let endpoints = [HERE.to_owned()];
            let expectation = expectation(&self.issuer, &endpoints, &Alg::ALL);
            jose::verify(compact, &self.keys, &expectation, Timestamp::from_secs(NOW))
                .and_then(|token| parse(token, "portcullis"))
        }
    }

    #[test]
    fn a_token_is_the_idps_command_for_this_endpoint_or_it_is_refused() {
        let idp = Idp::new();
        for (what, typ, changes, expected) in [
            ("as the draft has it", TYP, json!({}), Ok(())),
            ("as the draft's examples have it", TYP, json!({ "tenant": null }), Ok(())),
            ("for us and others", TYP, json!({ "aud": ["x", HERE] }), Ok(())),
            ("with a name that we never gave", TYP, json!({ "aud_sub": "7" }), Ok(())),
            ("with claims about the person", TYP, json!({ "email": "a@b.org", "groups": [] }), Ok(())),
            ("no typ", None, json!({}), Err(Reject::Type)),
            ("an ID token", Some("JWT"), json!({}), Err(Reject::Type)),
            ("a SET", Some("secevent+jwt"), json!({}), Err(Reject::Type)),
            ("a logout token", Some("logout+jwt"), json!({}), Err(Reject::Type)),
            ("a global revocation", Some("global-token-revocation+jwt"), json!({}), Err(Reject::Type)),
            ("another issuer", TYP, json!({ "iss": "https://evil.example" }), Err(Reject::Issuer)),
            ("no issuer", TYP, json!({ "iss": null }), Err(Reject::Missing("iss"))),
            ("for our client id", TYP, json!({ "aud": "portcullis" }), Err(Reject::Audience)),
            ("for the endpoint of another IdP", TYP, json!({ "aud": format!("{HERE}2") }), Err(Reject::Audience)),
            ("no audience", TYP, json!({ "aud": null }), Err(Reject::Audience)),
            ("another client", TYP, json!({ "client_id": "other" }), Err(Reject::Claim("client_id"))),
            ("no client", TYP, json!({ "client_id": null }), Err(Reject::Missing("client_id"))),
            ("no jti", TYP, json!({ "jti": null }), Err(Reject::Missing("jti"))),
            ("an endless jti", TYP, json!({ "jti": "j".repeat(513) }), Err(Reject::Claim("jti"))),
            ("no iat", TYP, json!({ "iat": null }), Err(Reject::Missing("iat"))),
            ("no exp", TYP, json!({ "exp": null }), Err(Reject::Missing("exp"))),
            ("over", TYP, json!({ "iat": NOW - 400, "exp": NOW - 61 }), Err(Reject::Expired)),
            ("from the future", TYP, json!({ "iat": NOW + 61 }), Err(Reject::NotYet)),
            ("good for long", TYP, json!({ "exp": NOW + 601 }), Err(Reject::Claim("exp"))),
            ("with a nonce", TYP, json!({ "nonce": "n" }), Err(Reject::Forbidden("nonce"))),
            ("with events", TYP, json!({ "events": {} }), Err(Reject::Forbidden("events"))),
            ("with a call-back", TYP, json!({ "callback_token": "t" }), Err(Reject::Forbidden("callback_token"))),
            ("no command", TYP, json!({ "command": null }), Err(Reject::Missing("command"))),
            ("a list of commands", TYP, json!({ "command": ["invalidate"] }), Err(Reject::Claim("command"))),
            ("an endless command", TYP, json!({ "command": "c".repeat(257) }), Err(Reject::Claim("command"))),
            ("no person", TYP, json!({ "sub": null }), Err(Reject::Missing("sub"))),
            ("an empty person", TYP, json!({ "sub": "" }), Err(Reject::Claim("sub"))),
            ("a number of a person", TYP, json!({ "sub": 7 }), Err(Reject::Claim("sub"))),
            ("a number of a tenant", TYP, json!({ "tenant": 7 }), Err(Reject::Claim("tenant"))),
            (
                "a person for a tenant's command",
                TYP,
                json!({ "command": "invalidate_tenant" }),
                Err(Reject::Forbidden("sub")),
            ),
            (
                "our name of a person for a tenant's command",
                TYP,
                json!({ "command": "suspend_tenant", "sub": null, "aud_sub": "7" }),
                Err(Reject::Forbidden("aud_sub")),
            ),
            (
                "a tenant's command for no tenant",
                TYP,
                json!({ "command": "invalidate_tenant", "sub": null, "tenant": null }),
                Err(Reject::Missing("tenant")),
            ),
            ("a person for metadata", TYP, json!({ "command": "metadata" }), Err(Reject::Forbidden("sub"))),
        ] {
            assert_eq!(idp.read(typ, &changes).map(|_| ()), expected, "{what}");
        }
    }

    #[test]
    fn each_command_is_read_and_what_is_not_done_here_is_no_error() {
        let idp = Idp::new();
        let token = |changes: Value| idp.read(TYP, &changes).map(|token| token.asked);
        for what in OnAccount::ALL {
            let expected = Ok(Asked::Account { what, sub: "00u1".into() });
            assert_eq!(token(json!({ "command": what.word() })), expected);
        }
        for what in OnTenant::ALL {
            let expected = Ok(Asked::Tenant { what, tenant: "ff6e7c96".into() });
            assert_eq!(token(json!({ "command": what.word(), "sub": null })), expected);
        }
        let metadata = json!({ "command": "metadata", "sub": null, "callback_token": "t", "metadata": {} });
        assert_eq!(token(metadata), Ok(Asked::Metadata));
        for command in ["maintain", "migrate", "invalidate_async", "audit_tenant", "Invalidate", "https://x.example/y"]
        {
            assert_eq!(
                token(json!({ "command": command, "callback_token": "t" })),
                Ok(Asked::Unsupported),
                "{command}"
            );
        }
    }

    #[test]
    fn no_token_makes_the_parser_panic_and_none_is_read_as_something_else() {
        let seed = 0x0b5e_55ed_c0ff_ee01;
        println!("seed {seed:#x}");
        let mut random = Xorshift(seed);
        let idp = Idp::new();
        let mut whole = 0;
        for _ in 0..2_000 {
            let mut payload = idp.claims().to_string().into_bytes();
            if random.below(8) > 0 {
                random.damage(&mut payload);
            }
            let header = json!({ "alg": "ES256", "typ": "command+jwt" }).to_string();
            let compact = idp.signer.sign_texts(&header, &String::from_utf8_lossy(&payload)).expect("token");
            whole += usize::from(idp.verify(&compact).is_ok());
        }
        assert!(whole > 100, "only {whole} were whole");
    }
}
