//! How fields are written: bounded, readable, and nothing of what has no place in the log.

use serde::Serializer;

use crate::time::Timestamp;

/// Characters of a text that others wrote: a line stays a line that tools can read.
pub(super) const LONGEST: usize = 512;

pub(super) fn readable<S: Serializer>(moment: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(moment)
}

pub(super) fn bounded<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&text.chars().take(LONGEST).collect::<String>())
}

pub(super) fn bounded_all<S: Serializer>(texts: &[String], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(texts.iter().map(|text| text.chars().take(LONGEST).collect::<String>()))
}

#[expect(clippy::ref_option, reason = "serde hands out the field as it is")]
pub(super) fn bounded_option<S: Serializer>(text: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    bounded(text.as_deref().unwrap_or_default(), to)
}

pub(super) fn first_eight<S: Serializer>(id: &str, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&id.chars().take(8).collect::<String>())
}

pub(super) fn without_query<S: Serializer>(request: &str, to: S) -> Result<S::Ok, S::Error> {
    bounded(request.split(['?', '#']).next().unwrap_or_default(), to)
}
