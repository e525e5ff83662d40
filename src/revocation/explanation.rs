//! What a signal says to the person whom it meets, by language (CAEP §2, `reason_user`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Characters of one text: it stands on a page.
const MAX_TEXT: usize = 300;
/// Languages of one explanation.
const MAX_LANGUAGES: usize = 16;
/// Characters of a language tag (RFC 5646 §4.4.1).
const MAX_TAG: usize = 35;

/// A text for people in several languages, or none at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Explanation(BTreeMap<String, String>);

impl Explanation {
    /// Reads a plain text, whose language nobody knows, or a map of language tags. `None` for anything else, and where
    /// nothing is said. Each text is cut to a bounded length, without control characters; of too many languages the
    /// first in the alphabet stay, English in any case.
    pub fn parse(value: &Value) -> Option<Self> {
        let texts: BTreeMap<String, String> = match value {
            Value::String(text) => plain(text).map(|text| (String::new(), text)).into_iter().collect(),
            Value::Object(languages) => {
                let known = languages.iter().filter(|(tag, _)| is_tag(tag));
                let (english, other): (Vec<_>, Vec<_>) = known.partition(|(tag, _)| tag.as_str() == "en");
                let texts =
                    english.into_iter().chain(other).filter_map(|(tag, text)| Some((tag, plain(text.as_str()?)?)));
                texts.take(MAX_LANGUAGES).map(|(tag, text)| (tag.clone(), text)).collect()
            }
            _ => return None,
        };
        (!texts.is_empty()).then_some(Self(texts))
    }

    /// True where nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each language tag, empty where it is not known, and its text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(tag, text)| (tag.as_str(), text.as_str()))
    }
}

fn plain(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    (!text.trim().is_empty()).then_some(text)
}

fn is_tag(tag: &str) -> bool {
    (2..=MAX_TAG).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_to_people_is_bounded_and_plain() {
        let read = |value: Value| Explanation::parse(&value).map(|all| json!(all));
        for (name, value, expected) in [
            ("a text", json!("Laptop\u{7} lost"), Some(json!({ "": "Laptop lost" }))),
            ("languages", json!({ "en": "lost", "de-AT": "weg" }), Some(json!({ "de-AT": "weg", "en": "lost" }))),
            ("no tag", json!({ "\"><b": "x", "": "x", "x": "x", "fr": "perdu" }), Some(json!({ "fr": "perdu" }))),
            ("no text", json!({ "en": 7, "de": " ", "fr": ["x"] }), None),
            ("nothing", json!({}), None),
            ("a number", json!(7), None),
            ("an empty text", json!(""), None),
        ] {
            assert_eq!(read(value), expected, "{name}");
        }
    }

    #[test]
    fn an_explanation_has_a_bound() {
        let many: serde_json::Map<_, _> = (0..500).map(|i| (format!("a{i:03}"), json!("é".repeat(1_000)))).collect();
        let mut many = Value::Object(many);
        many["en"] = json!("lost");
        let all = Explanation::parse(&many).expect("explanation");
        assert_eq!(all.iter().count(), MAX_LANGUAGES);
        assert!(all.iter().any(|(tag, _)| tag == "en"));
        assert!(all.iter().all(|(_, text)| text.chars().count() <= MAX_TEXT));
    }
}
