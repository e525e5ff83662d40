//! Apps that are no server of their own: the gateway answers for them itself.

use std::time::Duration;

/// An app that runs in the gateway.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// The operators' console.
    Console {
        /// How long after a sign-in its operator may change something.
        fresh_for: Duration,
    },
}

impl BuiltIn {
    /// What the config writes instead of an upstream.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Console { .. } => "builtin:console",
        }
    }
}
