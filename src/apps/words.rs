//! Apps and their rules in words, for operators.

use std::fmt;

use super::{Access, Allow, App};

impl fmt::Display for Allow {
    /// Whom it admits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [("group", &self.groups), ("domain", &self.email_domains), ("address", &self.emails)];
        let claims = self.claims.iter().map(|(name, values)| (name.as_str(), values));
        let parts: Vec<_> = lists
            .into_iter()
            .chain(claims)
            .filter(|(_, values)| !values.is_empty())
            .map(|(what, values)| format!("{what} {}", values.join(" or ")))
            .collect();
        f.write_str(if parts.is_empty() { "who signs in".to_owned() } else { parts.join("; ") }.as_str())
    }
}

impl Access {
    /// Who gets in, of those whom `allow` admits.
    pub fn words(self, allow: &Allow) -> String {
        match self {
            Self::Public => "everybody".to_owned(),
            Self::Login => allow.to_string(),
            Self::Bearer => format!("{allow}, by token"),
            Self::Either => format!("{allow}, also by token"),
        }
    }
}

impl App {
    /// Where it is, as people type it.
    pub fn place(&self) -> String {
        let prefix = self.prefix.as_str();
        format!("{}{}", self.origin.as_str(), if prefix == "/" { "" } else { prefix })
    }
}
