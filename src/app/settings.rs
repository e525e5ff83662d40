//! What the config says, in the words of the engines.

use std::time::Duration;

use crate::config::{self, IdpSettings, OutboundSettings};
use crate::{http, idp, policy};

/// How far an IdP's clock may be off.
const SKEW: Duration = Duration::from_secs(60);

pub(super) fn outbound(settings: OutboundSettings) -> http::Settings {
    let OutboundSettings { connect_timeout, timeout, extra_ca_pem } = settings;
    http::Settings { connect_timeout, timeout, extra_ca_pem }
}

pub(super) fn idp(settings: IdpSettings) -> idp::Settings {
    let usual = idp::ClaimNames::default();
    let claims = settings.claims;
    idp::Settings {
        name: settings.name,
        issuer: settings.issuer,
        client_id: settings.client_id,
        client_secret: settings.client_secret,
        scopes: settings.scopes,
        claims: idp::ClaimNames {
            email: claims.email,
            groups: claims.groups,
            device: claims.device.unwrap_or(usual.device),
            tenant: claims.tenant.unwrap_or(usual.tenant),
            preferred_username: claims.preferred_username,
            phone: usual.phone,
        },
        kept_claims: settings.kept_claims,
        max_age: settings.max_age,
        metadata_url: settings.metadata_url,
        prove_by: match settings.prove_by {
            config::ProveBy::AuthTime => idp::ProveBy::AuthTime,
            config::ProveBy::IssuedAt => idp::ProveBy::IssuedAt,
        },
        skew: SKEW,
    }
}

pub(super) const fn widest(widest: config::Widest) -> policy::Widest {
    match widest {
        config::Widest::User => policy::Widest::User,
        config::Widest::Group => policy::Widest::Group,
        config::Widest::Tenant => policy::Widest::Tenant,
        config::Widest::Everyone => policy::Widest::Everyone,
    }
}
