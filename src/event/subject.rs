//! Whom an event is about: subject identifiers (RFC 9493) and the complex subjects of SSF §3.3.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{MAX_VALUE, bounded_text};
use crate::jose::Reject;
use crate::revocation::MAX_MEMBERS;

/// The subject of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One identifier.
    Simple(Simple),
    /// One principal described by several facts that hold at once (SSF §3.3). Each role at most once, not empty.
    Complex(Vec<(Role, Simple)>),
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
    pub fn parse(value: &Value) -> Result<Self, Reject> {
        let members = value.as_object().ok_or(INVALID)?;
        if format(members)? != COMPLEX {
            return Simple::parse(members).map(Self::Simple);
        }
        let facts = members.iter().filter(|(name, _)| *name != "format");
        if !(1..=MAX_MEMBERS).contains(&facts.clone().count()) {
            return Err(INVALID);
        }
        let fact = |(name, value): (&String, &Value)| {
            if name.len() > MAX_VALUE {
                return Err(INVALID);
            }
            Ok((Role::parse(name), Simple::parse(value.as_object().ok_or(INVALID)?)?))
        };
        facts.map(fact).collect::<Result<_, _>>().map(Self::Complex)
    }
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

    fn parse(members: &Map<String, Value>) -> Result<Self, Reject> {
        let format = format(members)?;
        // RFC 9493 §3: exactly the members that the format describes.
        let only = |names: &[&str]| {
            let all_known = members.keys().all(|name| name == "format" || names.contains(&name.as_str()));
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
            ALIASES => list("identifiers")?.iter().map(Self::parse_alias).collect::<Result<_, _>>().map(Self::Aliases),
            COMPLEX => Err(INVALID),
            other => Ok(Self::Other(other.to_owned())),
        }
    }

    fn parse_alias(value: &Value) -> Result<Self, Reject> {
        let members = value.as_object().ok_or(INVALID)?;
        if format(members)? == ALIASES { Err(INVALID) } else { Self::parse(members) }
    }
}

/// The `format` that every subject has.
fn format(members: &Map<String, Value>) -> Result<&str, Reject> {
    let format = members.get("format").and_then(Value::as_str).ok_or(INVALID)?;
    if (1..=MAX_VALUE).contains(&format.len()) { Ok(format) } else { Err(INVALID) }
}

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
            assert_eq!(Subject::parse(&value), Ok(Subject::Simple(expected.clone())), "{value}");
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
        let Ok(Subject::Complex(mut facts)) = Subject::parse(&value) else { panic!("it is complex") };
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
            assert_eq!(Subject::parse(&value), Err(Reject::Claim("sub_id")), "{value}");
        }
    }
}
