//! What of an IdP is called, for errors.

/// A part of an IdP that is called.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The discovery document.
    Metadata,
    /// The key set.
    Keys,
    /// The token endpoint.
    Token,
    /// The userinfo endpoint.
    Userinfo,
    /// The introspection endpoint.
    Introspection,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Metadata => "metadata",
            Self::Keys => "keys",
            Self::Token => "token endpoint",
            Self::Userinfo => "userinfo endpoint",
            Self::Introspection => "introspection endpoint",
        })
    }
}
