//! What tells one credential from another, for those who count them, without being any use as one.

/// What a credential is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Sort {
    /// The gateway's own session.
    #[default]
    Session,
    /// A cookie that an app made.
    AppCookie,
    /// A token that an app made.
    AppToken,
    /// An access token of the IdP's.
    AccessToken,
}

impl Sort {
    /// All sorts, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Session, Self::AppCookie, Self::AppToken, Self::AccessToken];
}

/// A credential's sort, and 64 bits of it. They are taken where they are random anyway (a session's id, the end of a
/// signature or of a seal): nothing is computed for a request that is let through. Never shown, never kept as they are.
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash)]
pub struct Imprint {
    /// What it is.
    pub sort: Sort,
    bits: u64,
}

impl std::fmt::Debug for Imprint {
    /// The bits may be a part of a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Imprint({:?})", self.sort)
    }
}

impl Imprint {
    /// Of what grew in the session of that id.
    pub fn of_session(sort: Sort, id: [u8; 16]) -> Self {
        Self { sort, bits: id.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)) }
    }

    /// Of a cookie of that name that an app set in the session of that id.
    pub fn of_cookie(name: &str, id: [u8; 16]) -> Self {
        let Self { sort, bits } = Self::of_session(Sort::AppCookie, id);
        Self { sort, bits: name.bytes().fold(bits, |bits, byte| bits.rotate_left(7) ^ u64::from(byte)) }
    }

    /// Of a token: its end, which no two that matter share.
    pub fn of_token(sort: Sort, token: &str) -> Self {
        let bits = token.bytes().rev().take(LAST).fold(0u64, |bits, byte| bits.rotate_left(6) ^ u64::from(byte));
        Self { sort, bits }
    }

    /// The bits, to be hashed with a key before they are kept.
    pub const fn bits(self) -> u64 {
        self.bits
    }
}

/// Characters of a token's end: 6 random bits in each.
const LAST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_with_different_ends_differ_and_nothing_of_one_is_shown() {
        let (one, other) = (Imprint::of_token(Sort::AppToken, "aaa.bbb.c1"), Imprint::of_token(Sort::AppToken, "c2"));
        assert_ne!(one, other);
        assert_eq!(one, Imprint::of_token(Sort::AppToken, "aaa.bbb.c1"));
        assert_ne!(one, Imprint::of_token(Sort::AccessToken, "aaa.bbb.c1"), "another sort is another credential");
        assert_eq!(format!("{one:?}"), "Imprint(AppToken)");
        let session = Imprint::of_session(Sort::Session, [7; 16]);
        assert_ne!(session, Imprint::of_session(Sort::Session, [8; 16]));
    }
}
