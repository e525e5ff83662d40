//! What real transmitters send that the final specifications do not know: retired spellings, older shapes, their own.
//!
//! Nothing of this is understood unless a stream's preset says that its transmitter sends it. Otherwise it is refused, or
//! passed over where the specification says so (an unknown event type, an unknown format of subject).

use crate::identity::Issuer;

/// A product whose ways are known.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    /// None: the final specifications and nothing else.
    #[default]
    Strict,
    /// Okta's transmitter, which says whom it means inside the event.
    Okta,
    /// Keycloak's, which calls every session of a person `ALL`.
    Keycloak,
    /// authentik's, whose older releases leave out the `typ` of SETs and the format of complex subjects.
    Authentik,
    /// Google's Cross-Account Protection, which speaks RISC as it was before SSF.
    GoogleRisc,
    /// The test transmitter at caep.dev.
    CaepDev,
}

/// What is understood of a transmitter besides the final specifications. The usual is nothing.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// A SET may have the `typ` of any token, `JWT`, or none (against SSF §4.1.1). That of another use is still refused.
    pub typ_of_any_jwt: bool,
    /// Where there is no `sub_id`, the event's own `subject` counts (against SSF §3.1), and an event about the stream
    /// itself needs none.
    pub subject_in_event: bool,
    /// A subject may have `subject_type` instead of `format`, with hyphens, and two types that only Google has (RISC §3.1).
    pub subject_type: bool,
    /// A subject without format whose members are all objects is a complex one.
    pub complex_without_format: bool,
    /// Session `ALL` beside a user means every session of that user.
    pub session_all: bool,
    /// `phone` is another name of the format `phone_number`: an example of SSF has it so.
    pub phone_format: bool,
    /// The verification event may have the name that it had in RISC.
    pub verification_of_risc: bool,
    /// It presents no bearer token when it pushes, because it has no place to be given one: the signature alone says who
    /// it is.
    pub pushes_without_token: bool,
    /// Which other issuer subjects may name instead of an IdP's.
    pub issuers: Issuers,
}

/// By which other names subjects may call an IdP's issuer.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Issuers {
    /// None: byte for byte.
    #[default]
    Exact,
    /// Okta: subjects name the organisation, where sign-in may be at one of its custom authorization servers. Both call
    /// a person by the same `sub`.
    OktaOrganisation,
    /// Google: subjects have a slash at the end that ID tokens do not have.
    GoogleWithSlash,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Strict, Self::Okta, Self::Keycloak, Self::Authentik, Self::GoogleRisc, Self::CaepDev];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Okta => "okta",
            Self::Keycloak => "keycloak",
            Self::Authentik => "authentik",
            Self::GoogleRisc => "google-risc",
            Self::CaepDev => "caep-dev",
        }
    }

    /// What this product sends besides the final specifications. What only several transmitters share and cannot be
    /// mistaken for anything else (times in milliseconds, a `state` of null) is understood everywhere and not here.
    pub const fn quirks(self) -> Quirks {
        match self {
            Self::Strict => Quirks::NONE,
            Self::Okta => Quirks { subject_in_event: true, issuers: Issuers::OktaOrganisation, ..Quirks::NONE },
            Self::Keycloak => Quirks { session_all: true, ..Quirks::NONE },
            Self::Authentik => {
                Quirks { typ_of_any_jwt: true, subject_in_event: true, complex_without_format: true, ..Quirks::NONE }
            }
            Self::GoogleRisc => Quirks {
                subject_in_event: true,
                subject_type: true,
                verification_of_risc: true,
                pushes_without_token: true,
                issuers: Issuers::GoogleWithSlash,
                ..Quirks::NONE
            },
            Self::CaepDev => Quirks { complex_without_format: true, phone_format: true, ..Quirks::NONE },
        }
    }
}

impl Quirks {
    /// The final specifications and nothing else.
    pub const NONE: Self = Self {
        typ_of_any_jwt: false,
        subject_in_event: false,
        subject_type: false,
        complex_without_format: false,
        session_all: false,
        phone_format: false,
        verification_of_risc: false,
        pushes_without_token: false,
        issuers: Issuers::Exact,
    };

    /// The present name of the event type that is called `uri`.
    pub(super) fn present_name<'a>(&self, uri: &'a str) -> &'a str {
        if self.verification_of_risc && uri == RISC_VERIFICATION { super::VERIFICATION } else { uri }
    }

    /// The present name of the subject format that is called `format`.
    pub(super) fn present_format<'a>(&self, format: &'a str) -> &'a str {
        if self.phone_format && format == "phone" { "phone_number" } else { format }
    }

    /// True where a subject that names the issuer `named` means `issuer`, though they differ.
    pub fn is_another_name(&self, named: &str, issuer: &Issuer) -> bool {
        match self.issuers {
            Issuers::Exact => false,
            Issuers::OktaOrganisation => {
                let server = issuer.as_str().strip_prefix(named).and_then(|rest| rest.strip_prefix("/oauth2/"));
                server.is_some_and(|server| !server.is_empty() && !server.contains('/'))
            }
            Issuers::GoogleWithSlash => issuer.as_str() == GOOGLE && named.strip_suffix('/') == Some(GOOGLE),
        }
    }
}

/// What the verification event was called before SSF.
const RISC_VERIFICATION: &str = "https://schemas.openid.net/secevent/risc/event-type/verification";

/// Google, as its ID tokens name it.
const GOOGLE: &str = "https://accounts.google.com";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_understands_nothing_else_and_each_preset_something_of_its_own() {
        assert_eq!(Preset::default().quirks(), Quirks::default());
        assert_eq!(Quirks::NONE, Quirks::default());
        for (at, preset) in Preset::ALL.into_iter().enumerate() {
            for other in Preset::ALL.into_iter().skip(at + 1) {
                assert_ne!(preset.quirks(), other.quirks(), "{} and {}", preset.word(), other.word());
                assert_ne!(preset.word(), other.word());
            }
        }
    }

    #[test]
    fn a_name_is_another_name_only_of_the_issuer_that_it_is_known_for() {
        let [okta, google, strict] = [Preset::Okta, Preset::GoogleRisc, Preset::Strict].map(Preset::quirks);
        for (quirks, named, issuer, expected) in [
            (okta, "https://org.okta.com", "https://org.okta.com/oauth2/default", true),
            (okta, "https://org.okta.com", "https://org.okta.com/oauth2/aus1", true),
            (okta, "https://org.okta.com", "https://org.okta.com/oauth2/", false),
            (okta, "https://org.okta.com", "https://org.okta.com/oauth2/a/b", false),
            (okta, "https://org.okta.com", "https://org.okta.com.evil.com/oauth2/default", false),
            (okta, "https://org.okta.co", "https://org.okta.com/oauth2/default", false),
            (okta, "https://org.okta.com/", "https://org.okta.com/oauth2/default", false),
            (okta, "https://org.okta.com/oauth2/default", "https://org.okta.com", false),
            (okta, "", "https://org.okta.com/oauth2/default", false),
            (okta, "https://accounts.google.com/", "https://accounts.google.com", false),
            (google, "https://accounts.google.com/", "https://accounts.google.com", true),
            (google, "https://accounts.google.com//", "https://accounts.google.com", false),
            (google, "https://accounts.google.com", "https://accounts.google.com/", false),
            (google, "https://idp.example.com/", "https://idp.example.com", false),
            (google, "https://org.okta.com", "https://org.okta.com/oauth2/default", false),
            (strict, "https://accounts.google.com/", "https://accounts.google.com", false),
            (strict, "https://org.okta.com", "https://org.okta.com/oauth2/default", false),
        ] {
            let issuer = Issuer::parse(issuer).expect("issuer");
            assert_eq!(quirks.is_another_name(named, &issuer), expected, "{named} for {issuer}");
        }
    }

    #[test]
    fn a_retired_name_is_read_as_the_present_one_only_where_it_is_sent() {
        let sse = "https://schemas.openid.net/secevent/sse/event-type/verification";
        for preset in Preset::ALL {
            let read = preset.quirks().present_name(RISC_VERIFICATION);
            assert_eq!(read == super::super::VERIFICATION, preset == Preset::GoogleRisc, "{}", preset.word());
            assert_eq!(preset.quirks().present_name(sse), sse, "nobody here sends it: {}", preset.word());
        }
    }
}
