//! JSON that means one thing: no name twice in an object, at any depth, and dates that are dates.
//!
//! Two parsers that each take another one of two `sub` members see two different people; so such a text is refused.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::time::Timestamp;

/// Dates from here on are refused: an `f64` no longer tells seconds apart (and it is the year 285 million).
const MAX_DATE: f64 = 9_007_199_254_740_992.0;

/// The JSON object in `bytes`. `None` if it is none, or if any object in it has a name twice.
///
/// Depth is bounded by the JSON parser (128), size by the caller.
pub fn object_without_duplicates(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = Unambiguous.deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// A NumericDate (RFC 7519 §2): seconds since the epoch, whole or not, in [0, 2⁵³). Fractions are dropped.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate(pub Timestamp);

impl NumericDate {
    /// The date in `value`; `None` for a negative or absurd number and for anything that is no number.
    pub fn parse(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        let seconds = number.as_f64()?;
        if !(0.0..MAX_DATE).contains(&seconds) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in [0, 2^53)")]
        let whole = seconds as u64;
        Some(Self(Timestamp::from_secs(whole)))
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not a date"))
    }
}

/// Builds a [`Value`] as serde does, but fails at the second member of one name.
struct Unambiguous;

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which every name of an object stands once")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(Self)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(Self)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_refused_at_every_depth() {
        for (text, accepted) in [
            (r#"{}"#, true),
            (r#"{"a":1,"b":{"a":[{"a":null},{"a":true}]}}"#, true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":2}"#, false),
            (r#"{"b":{"a":1,"a":2}}"#, false),
            (r#"{"b":[[{"a":1,"a":2}]]}"#, false),
            (r#"[]"#, false),
            (r#"{} {}"#, false),
            (r#"{"a":1e999}"#, false),
            (r#"{"a":1,}"#, false),
            ("", false),
        ] {
            assert_eq!(object_without_duplicates(text.as_bytes()).is_some(), accepted, "`{text}`");
        }
    }

    #[test]
    fn what_is_accepted_reads_as_any_other_json_parser_reads_it() {
        let text = r#"{"a":[1,-2,3.5,"x\n",null,true,{"b":{}}],"c":18446744073709551615}"#;
        let expected: Value = serde_json::from_str(text).expect("json");
        assert_eq!(object_without_duplicates(text.as_bytes()).map(Value::Object), Some(expected));
    }

    #[test]
    fn a_text_nested_without_end_is_refused() {
        let text = format!("{{\"a\":{}", "[".repeat(60_000));
        assert_eq!(object_without_duplicates(text.as_bytes()), None);
    }

    #[test]
    fn a_date_is_a_number_of_seconds_in_range() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1700000000", Some(1_700_000_000)),
            ("1700000000.9", Some(1_700_000_000)),
            ("1.7e9", Some(1_700_000_000)),
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("9007199254740992", None),
            ("1e300", None),
            ("-1", None),
            ("-0.5", None),
            ("\"1700000000\"", None),
            ("null", None),
            ("[1]", None),
        ] {
            let value = serde_json::from_str(text).expect("json");
            assert_eq!(NumericDate::parse(&value).map(|date| date.0.secs()), expected, "`{text}`");
        }
    }
}
