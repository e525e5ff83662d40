//! Names and sentences that all readers share.

use toml::de::DeValue;

use super::context::Why;

/// A name that can stand in URLs, logs and metrics as it is.
pub(super) fn plain_name(name: &str) -> Result<(), Why> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        return Err(Why(format!("a name has letters, digits, `-` and `_`, and at most {MAX_NAME} of them")));
    }
    Ok(())
}

/// Says that a value has another form than it should.
pub(super) fn wrong_type(expected: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("expected {expected}, found {found}")
}

/// Words in quotes, sorted.
pub(super) fn join(words: &[&str]) -> String {
    let mut quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.sort();
    quoted.join(", ")
}

/// Characters of a name: it becomes a label of metrics and a part of URLs.
const MAX_NAME: usize = 64;
