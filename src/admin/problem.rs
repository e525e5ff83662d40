//! What is wrong with a request: which part of it, and what to do.

use super::api::{Problem, Unclear};
use crate::identity::TargetKind;

impl Unclear {
    /// Which part of the request is meant.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Nobody => "whom",
            Self::EveryoneAndSomebody => "whom.everyone",
            Self::NotA(kind, _) => match kind {
                TargetKind::User => "whom.user",
                TargetKind::Email => "whom.email",
                TargetKind::Phone => "whom.phone",
                TargetKind::Session => "whom.session",
                TargetKind::Device => "whom.device",
                TargetKind::Tenant => "whom.tenant",
                TargetKind::Group => "whom.group",
                TargetKind::OrgUnit | TargetKind::Everyone | TargetKind::Gateway => "whom",
            },
            Self::UnknownIdp(_) | Self::WhichIdp => "idp",
            Self::UnknownApp(_) => "apps",
            Self::InFuture => "as_of",
        }
    }

    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Nobody => {
                "name somebody by `user`, `email`, `phone`, `session`, `device`, `tenant` or `group`, or write `everyone: true`"
            }
            Self::EveryoneAndSomebody => "drop `everyone`, or drop the rest",
            Self::NotA(TargetKind::Email, _) => "write one address, `name@domain`",
            Self::NotA(TargetKind::Phone, _) => "write the number with its digits, `+1 206 555 0100`",
            Self::NotA(_, _) => "write the value as the IdP says it; it must not be empty",
            Self::UnknownIdp(_) | Self::WhichIdp => {
                "write the name of one of `[idps.NAME]`; `GET /v1/status` lists them"
            }
            Self::UnknownApp(_) => "write names of `[apps.NAME]`; `GET /v1/status` lists them",
            Self::InFuture => "write seconds since 1970, at most now, or drop it",
        }
    }
}

impl Problem {
    /// What is wrong, and nothing more to say.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), ..Self::default() }
    }
}

impl From<&Unclear> for Problem {
    fn from(unclear: &Unclear) -> Self {
        let (field, remedy) = (Some(unclear.field().to_owned()), Some(unclear.remedy().to_owned()));
        Self { error: unclear.to_string(), field, remedy, done: None }
    }
}
