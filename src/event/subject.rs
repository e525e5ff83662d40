//! Whom an event is about: subject identifiers (RFC 9493) and the complex subjects of SSF §3.3.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{MAX_VALUE, Quirks, bounded_text};
use crate::jose::Reject;
use crate::revocation::MAX_MEMBERS;

/// The subject of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One identifier.
    Simple(Simple),
    /// One principal described by several facts that hold at once (SSF §3.3). Each role at most once, not empty.
    Complex(Vec<(Role, Simple)>),
    /// Nobody: the event is about the stream, and its transmitter says so only by the event's type.
    Stream,
}

/// What a member of a complex subject describes (SSF §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person.
    User,
    /// The device.
    Device,
    /// The session at the transmitter.
    Session,
    /// The application, usually by its client id.
    Application,
    /// The tenant.
    Tenant,
    /// The organisational unit.
    OrgUnit,
    /// The group.
    Group,
    /// Something that is not known here, by its name.
    Other(String),
}

impl Role {
    /// The role of a member of that name.
    pub fn parse(name: &str) -> Self {
        match name {
            "user" => Self::User,
            "device" => Self::Device,
            "session" => Self::Session,
            "application" => Self::Application,
            "tenant" => Self::Tenant,
            "org_unit" => Self::OrgUnit,
            "group" => Self::Group,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The member's name.
    pub fn name(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Device => "device",
            Self::Session => "session",
            Self::Application => "application",
            Self::Tenant => "tenant",
            Self::OrgUnit => "org_unit",
            Self::Group => "group",
            Self::Other(name) => name,
        }
    }
}

/// One subject identifier, by its format. Values are as sent; whoever compares them normalises them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simple {
    /// `iss_sub` (RFC 9493 §3.2.3). The issuer may be another than the token's.
    IssSub {
        /// Whose word `sub` is.
        iss: String,
        /// The subject in that issuer's words.
        sub: String,
    },
    /// `email` (RFC 9493 §3.2.2).
    Email(String),
    /// `opaque` (RFC 9493 §3.2.4).
    Opaque(String),
    /// `phone_number` (RFC 9493 §3.2.5).
    PhoneNumber(String),
    /// `account`, an `acct:` URI (RFC 9493 §3.2.1).
    Account(String),
    /// `did` (RFC 9493 §3.2.6).
    Did(String),
    /// `uri` (RFC 9493 §3.2.7).
    Uri(String),
    /// `aliases` (RFC 9493 §3.2.8): several names of the same subject, never nested, not empty.
    Aliases(Vec<Self>),
    /// `jwt_id` (SSF §3.5.1).
    JwtId {
        /// Who made the token.
        iss: String,
        /// Its id.
        jti: String,
    },
    /// `saml_assertion_id` (SSF §3.5.2).
    SamlAssertionId {
        /// Who made the assertion.
        issuer: String,
        /// Its id.
        assertion_id: String,
    },
    /// `ip-addresses` (SSF §3.5.3).
    IpAddresses(Vec<IpAddr>),
    /// `scim` (RFC 9967): an account where it is provisioned.
    Scim {
        /// Its resource.
        uri: Option<String>,
        /// Its id at whoever provisions it.
        external_id: Option<String>,
    },
    /// A format that is not known here (SSF §3.4 lets parties agree on their own), by its name.
    Other(String),
}

/// What every malformed subject is refused with.
const INVALID: Reject = Reject::Claim("sub_id");

/// The format of a complex subject.
const COMPLEX: &str = "complex";

/// The format of [`Simple::Aliases`].
const ALIASES: &str = "aliases";

impl Subject {
    /// Reads a `sub_id`. At most [`MAX_MEMBERS`] members, values of at most 1 KiB.
    pub fn parse(value: &Value, quirks: &Quirks) -> Result<Self, Reject> {
        let members = value.as_object().ok_or(INVALID)?;
        let complex = is_complex_without_format(members, quirks);
        if !complex && format(members, quirks)? != COMPLEX {
            return Simple::parse(members, quirks).map(Self::Simple);
        }
        let facts = members.iter().filter(|(name, _)| complex || *name != "format");
        if !(1..=MAX_MEMBERS).contains(&facts.clone().count()) {
            return Err(INVALID);
        }
        let fact = |(name, value): (&String, &Value)| {
            if name.len() > MAX_VALUE {
                return Err(INVALID);
            }
            Ok((Role::parse(name), Simple::parse(value.as_object().ok_or(INVALID)?, quirks)?))
        };
        let mut facts = facts.map(fact).collect::<Result<Vec<_>, _>>()?;
        if quirks.session_all && facts.iter().any(is_every_session) {
            facts.retain(|fact| !is_every_session(fact));
            // Without a user it would be everybody's.
            if !facts.iter().any(|(role, _)| *role == Role::User) {
                return Err(INVALID);
            }
        }
        Ok(Self::Complex(facts))
    }
}

/// True for the word that stands where a session's id should, and means all of them.
fn is_every_session((role, name): &(Role, Simple)) -> bool {
    *role == Role::Session && matches!(name, Simple::Opaque(id) if id == "ALL")
}

/// True for a complex subject as it was before it had a format.
fn is_complex_without_format(members: &Map<String, Value>, quirks: &Quirks) -> bool {
    quirks.complex_without_format && !members.is_empty() && members.values().all(Value::is_object)
}

impl Simple {
    /// The name of its format.
    pub fn format(&self) -> &str {
        match self {
            Self::IssSub { .. } => "iss_sub",
            Self::Email(_) => "email",
            Self::Opaque(_) => "opaque",
            Self::PhoneNumber(_) => "phone_number",
            Self::Account(_) => "account",
            Self::Did(_) => "did",
            Self::Uri(_) => "uri",
            Self::Aliases(_) => ALIASES,
            Self::JwtId { .. } => "jwt_id",
            Self::SamlAssertionId { .. } => "saml_assertion_id",
            Self::IpAddresses(_) => "ip-addresses",
            Self::Scim { .. } => "scim",
            Self::Other(format) => format,
        }
    }

    fn parse(members: &Map<String, Value>, quirks: &Quirks) -> Result<Self, Reject> {
        let format = format(members, quirks)?;
        // RFC 9493 §3: exactly the members that the format describes.
        let is_format = |name: &str| name == "format" || (quirks.subject_type && name == SUBJECT_TYPE);
        let only = |names: &[&str]| {
            let all_known = members.keys().all(|name| is_format(name) || names.contains(&name.as_str()));
            if all_known { Ok(()) } else { Err(INVALID) }
        };
        let text = |name: &str| members.get(name).and_then(|value| bounded_text(value, MAX_VALUE)).ok_or(INVALID);
        let one = |name: &str| only(&[name]).and_then(|()| text(name));
        let list = |name: &str| {
            only(&[name])?;
            let elements = members.get(name).and_then(Value::as_array).ok_or(INVALID)?;
            if (1..=MAX_MEMBERS).contains(&elements.len()) { Ok(elements) } else { Err(INVALID) }
        };
        match format {
            "iss_sub" => only(&["iss", "sub"]).and_then(|()| Ok(Self::IssSub { iss: text("iss")?, sub: text("sub")? })),
            "email" => one("email").map(Self::Email),
            "opaque" => one("id").map(Self::Opaque),
            "phone_number" => one("phone_number").map(Self::PhoneNumber),
            "account" => one("uri").map(Self::Account),
            "did" => one("url").map(Self::Did),
            "uri" => one("uri").map(Self::Uri),
            "jwt_id" => only(&["iss", "jti"]).and_then(|()| Ok(Self::JwtId { iss: text("iss")?, jti: text("jti")? })),
            "saml_assertion_id" => {
                only(&["issuer", "assertion_id"])?;
                Ok(Self::SamlAssertionId { issuer: text("issuer")?, assertion_id: text("assertion_id")? })
            }
            "ip-addresses" => {
                let address = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).ok_or(INVALID);
                list("ip-addresses")?.iter().map(address).collect::<Result<_, _>>().map(Self::IpAddresses)
            }
            "scim" => {
                only(&["uri", "externalId"])?;
                let given = |name: &str| members.contains_key(name).then(|| text(name)).transpose();
                let (uri, external_id) = (given("uri")?, given("externalId")?);
                if uri.is_none() && external_id.is_none() { Err(INVALID) } else { Ok(Self::Scim { uri, external_id }) }
            }
            ALIASES => {
                let alias = |value| Self::parse_alias(value, quirks);
                list("identifiers")?.iter().map(alias).collect::<Result<_, _>>().map(Self::Aliases)
            }
            ID_TOKEN_CLAIMS if quirks.subject_type => {
                only(&["iss", "sub", "email"])?;
                let iss = text("iss")?;
                // An address beside `sub` is a second name of the same person; `sub` says for good who it is.
                if members.contains_key("sub") {
                    Ok(Self::IssSub { iss, sub: text("sub")? })
                } else {
                    text("email").map(Self::Email)
                }
            }
            COMPLEX => Err(INVALID),
            other => Ok(Self::Other(other.to_owned())),
        }
    }

    fn parse_alias(value: &Value, quirks: &Quirks) -> Result<Self, Reject> {
        let members = value.as_object().ok_or(INVALID)?;
        if format(members, quirks)? == ALIASES { Err(INVALID) } else { Self::parse(members, quirks) }
    }
}

/// The `format` that every subject has, by its present name.
fn format<'a>(members: &'a Map<String, Value>, quirks: &Quirks) -> Result<&'a str, Reject> {
    let format = match members.get("format") {
        None if quirks.subject_type => {
            let retired = members.get(SUBJECT_TYPE).and_then(Value::as_str).ok_or(INVALID)?;
            match retired {
                "iss-sub" => "iss_sub",
                "phone-number" => "phone_number",
                same => same,
            }
        }
        format => quirks.present_format(format.and_then(Value::as_str).ok_or(INVALID)?),
    };
    if (1..=MAX_VALUE).contains(&format.len()) { Ok(format) } else { Err(INVALID) }
}

/// What `format` was called in RISC.
const SUBJECT_TYPE: &str = "subject_type";

/// Whom an ID token named, by some of its claims: Google's own.
const ID_TOKEN_CLAIMS: &str = "id_token_claims";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_format_is_read() {
        let text = str::to_owned;
        for (value, expected) in [
            (
                json!({ "format": "iss_sub", "iss": "https://i", "sub": "s" }),
                Simple::IssSub { iss: text("https://i"), sub: text("s") },
            ),
            (json!({ "format": "email", "email": "Ann@corp.com" }), Simple::Email(text("Ann@corp.com"))),
            (json!({ "format": "opaque", "id": "x" }), Simple::Opaque(text("x"))),
            (
                json!({ "format": "phone_number", "phone_number": "+1 206 555 0123" }),
                Simple::PhoneNumber(text("+1 206 555 0123")),
            ),
            (json!({ "format": "account", "uri": "acct:a@b" }), Simple::Account(text("acct:a@b"))),
            (json!({ "format": "did", "url": "did:x:1" }), Simple::Did(text("did:x:1"))),
            (json!({ "format": "uri", "uri": "urn:x" }), Simple::Uri(text("urn:x"))),
            (
                json!({ "format": "jwt_id", "iss": "https://i", "jti": "j" }),
                Simple::JwtId { iss: text("https://i"), jti: text("j") },
            ),
            (
                json!({ "format": "saml_assertion_id", "issuer": "i", "assertion_id": "a" }),
                Simple::SamlAssertionId { issuer: text("i"), assertion_id: text("a") },
            ),
            (
                json!({ "format": "ip-addresses", "ip-addresses": ["10.0.0.1", "2001:db8:0::1"] }),
                Simple::IpAddresses(vec![[10, 0, 0, 1].into(), "2001:db8::1".parse().expect("address")]),
            ),
            (
                json!({ "format": "aliases", "identifiers": [
                    { "format": "opaque", "id": "x" }, { "format": "uri", "uri": "u" },
                ] }),
                Simple::Aliases(vec![Simple::Opaque(text("x")), Simple::Uri(text("u"))]),
            ),
            (
                json!({ "format": "scim", "uri": "/Users/1", "externalId": "ann" }),
                Simple::Scim { uri: Some(text("/Users/1")), external_id: Some(text("ann")) },
            ),
            (
                json!({ "format": "scim", "uri": "/Users/1" }),
                Simple::Scim { uri: Some(text("/Users/1")), external_id: None },
            ),
            (json!({ "format": "catalog_item", "any": { "thing": 1 } }), Simple::Other(text("catalog_item"))),
        ] {
            assert_eq!(Subject::parse(&value, &Quirks::NONE), Ok(Subject::Simple(expected.clone())), "{value}");
            assert_eq!(expected.format(), value["format"], "the format's name");
        }
    }

    #[test]
    fn a_complex_subject_is_read_member_by_member() {
        let value = json!({
            "format": "complex",
            "user": { "format": "email", "email": "a@b.c" },
            "device": { "format": "opaque", "id": "d" },
            "rack": { "format": "opaque", "id": "r" },
        });
        let Ok(Subject::Complex(mut facts)) = Subject::parse(&value, &Quirks::NONE) else { panic!("it is complex") };
        facts.sort_by(|a, b| a.0.name().cmp(b.0.name()));
        let expected = [
            (Role::Device, Simple::Opaque("d".into())),
            (Role::Other("rack".into()), Simple::Opaque("r".into())),
            (Role::User, Simple::Email("a@b.c".into())),
        ];
        assert_eq!(facts, expected);
        for name in ["user", "device", "session", "application", "tenant", "org_unit", "group", "rack"] {
            assert_eq!(Role::parse(name).name(), name);
        }
    }

    #[test]
    fn a_malformed_subject_is_refused() {
        let opaque = json!({ "format": "opaque", "id": "x" });
        let nine: Map<String, Value> = (0..9).map(|n| (format!("m{n}"), opaque.clone())).collect();
        let mut too_many = Value::Object(nine);
        too_many["format"] = json!("complex");
        for value in [
            json!(null),
            json!("x"),
            json!([opaque]),
            json!({}),
            json!({ "id": "x" }),
            json!({ "format": "" , "id": "x" }),
            json!({ "format": 7, "id": "x" }),
            json!({ "format": "opaque" }),
            json!({ "format": "opaque", "id": "" }),
            json!({ "format": "opaque", "id": 7 }),
            json!({ "format": "opaque", "id": "x".repeat(1025) }),
            json!({ "format": "opaque", "id": "x", "extra": 1 }),
            json!({ "format": "iss_sub", "sub": "s" }),
            json!({ "format": "iss_sub", "iss": "i", "sub": ["s"] }),
            json!({ "format": "ip-addresses", "ip-addresses": ["10.0.0.256"] }),
            json!({ "format": "ip-addresses", "ip-addresses": [] }),
            json!({ "format": "scim" }),
            json!({ "format": "scim", "uri": 7 }),
            json!({ "format": "aliases", "identifiers": [] }),
            json!({ "format": "aliases", "identifiers": vec![opaque.clone(); 9] }),
            json!({ "format": "aliases", "identifiers": [{ "format": "aliases", "identifiers": [opaque] }] }),
            json!({ "format": "aliases", "identifiers": [{ "format": "complex", "user": opaque }] }),
            json!({ "format": "complex" }),
            json!({ "format": "complex", "user": "ann" }),
            json!({ "format": "complex", "user": { "format": "complex", "user": opaque } }),
            json!({ "format": "complex", "user": { "id": "x" } }),
            // Shapes from before the final specification.
            json!({ "subject_type": "iss-sub", "iss": "i", "sub": "s" }),
            json!({ "user": opaque, "device": opaque }),
            too_many,
        ] {
            assert_eq!(Subject::parse(&value, &Quirks::NONE), Err(Reject::Claim("sub_id")), "{value}");
        }
    }

    #[test]
    fn an_older_shape_is_read_only_under_the_presets_whose_product_sends_it() {
        use crate::event::Preset::{Authentik, CaepDev, GoogleRisc, Keycloak};
        let text = str::to_owned;
        let ann = || Simple::IssSub { iss: text("i"), sub: text("ann") };
        let opaque = || Simple::Opaque(text("x"));
        let iss_sub = json!({ "format": "iss_sub", "iss": "i", "sub": "ann" });
        let id_token = json!({ "subject_type": "id_token_claims", "iss": "i", "sub": "ann", "email": "ann@corp.com" });
        let one_session = |id: &str| (Role::Session, Simple::Opaque(text(id)));
        let user_and =
            |id: &str| json!({ "format": "complex", "user": iss_sub, "session": { "format": "opaque", "id": id } });
        let phone = json!({ "format": "phone", "phone_number": "+1 206" });
        let other = |format: &str| Ok(Subject::Simple(Simple::Other(text(format))));
        let simple = |simple: Simple| Ok(Subject::Simple(simple));
        for (value, presets, under_these, elsewhere) in [
            (
                json!({ "subject_type": "iss-sub", "iss": "i", "sub": "ann" }),
                &[GoogleRisc][..],
                simple(ann()),
                Err(INVALID),
            ),
            (
                json!({ "subject_type": "iss_sub", "iss": "i", "sub": "ann" }),
                &[GoogleRisc],
                simple(ann()),
                Err(INVALID),
            ),
            (
                json!({ "subject_type": "phone-number", "phone_number": "+1 206" }),
                &[GoogleRisc],
                simple(Simple::PhoneNumber(text("+1 206"))),
                Err(INVALID),
            ),
            (id_token, &[GoogleRisc], simple(ann()), Err(INVALID)),
            (
                json!({ "subject_type": "id_token_claims", "iss": "i", "email": "ann@corp.com" }),
                &[GoogleRisc],
                simple(Simple::Email(text("ann@corp.com"))),
                Err(INVALID),
            ),
            (json!({ "subject_type": "id_token_claims", "sub": "ann" }), &[GoogleRisc], Err(INVALID), Err(INVALID)),
            (json!({ "subject_type": "id_token_claims", "iss": "i" }), &[GoogleRisc], Err(INVALID), Err(INVALID)),
            (
                json!({ "subject_type": "oauth_token", "token_type": "refresh_token", "token": "1//0g" }),
                &[GoogleRisc],
                other("oauth_token"),
                Err(INVALID),
            ),
            // Once its sender has put it right, it is what it says now.
            (
                json!({ "subject_type": "email", "format": "iss_sub", "iss": "i", "sub": "ann" }),
                &[GoogleRisc],
                simple(ann()),
                Err(INVALID),
            ),
            (json!({ "subject_type": 7, "iss": "i", "sub": "ann" }), &[GoogleRisc], Err(INVALID), Err(INVALID)),
            (
                json!({ "session": { "format": "opaque", "id": "x" }, "user": iss_sub }),
                &[Authentik, CaepDev],
                Ok(Subject::Complex(vec![(Role::Session, opaque()), (Role::User, ann())])),
                Err(INVALID),
            ),
            (json!({ "user": iss_sub, "note": "x" }), &[Authentik, CaepDev], Err(INVALID), Err(INVALID)),
            (json!({ "user": { "user": iss_sub } }), &[Authentik, CaepDev], Err(INVALID), Err(INVALID)),
            (json!({}), &[Authentik, CaepDev], Err(INVALID), Err(INVALID)),
            (
                user_and("ALL"),
                &[Keycloak],
                Ok(Subject::Complex(vec![(Role::User, ann())])),
                Ok(Subject::Complex(vec![one_session("ALL"), (Role::User, ann())])),
            ),
            (
                user_and("all"),
                &[Keycloak],
                Ok(Subject::Complex(vec![one_session("all"), (Role::User, ann())])),
                Ok(Subject::Complex(vec![one_session("all"), (Role::User, ann())])),
            ),
            (
                json!({ "format": "complex", "session": { "format": "opaque", "id": "ALL" } }),
                &[Keycloak],
                Err(INVALID),
                Ok(Subject::Complex(vec![one_session("ALL")])),
            ),
            (phone, &[CaepDev], simple(Simple::PhoneNumber(text("+1 206"))), other("phone")),
        ] {
            for preset in crate::event::Preset::ALL {
                let mut read = Subject::parse(&value, &preset.quirks());
                if let Ok(Subject::Complex(facts)) = &mut read {
                    facts.sort_by(|a, b| a.0.name().cmp(b.0.name()));
                }
                let expected = if presets.contains(&preset) { &under_these } else { &elsewhere };
                assert_eq!(&read, expected, "{value} under {}", preset.word());
            }
        }
    }
}
