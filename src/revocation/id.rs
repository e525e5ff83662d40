//! The name of a revocation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a revocation: 128 bits that say nothing to who reads them. The same for the same revocation, however often
/// it arrives.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RevocationId(pub u128);

/// It is no name of a revocation.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the id of a revocation: 32 hexadecimal digits")]
pub struct InvalidId;

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<RevocationId> for String {
    fn from(id: RevocationId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for RevocationId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl FromStr for RevocationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() != 32 {
            return Err(InvalidId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidId)
    }
}
