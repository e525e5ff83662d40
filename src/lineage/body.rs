//! Tokens inside of bodies: found where the config says, replaced, and every other byte left as it was.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::apps::Field;

/// A kind of body that tokens are found in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// RFC 8259.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

impl Media {
    /// Reads a `Content-Type`; `None` for everything that is left alone, streams of JSON texts among it.
    pub fn of(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" | "text/json" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            kind if kind.starts_with("application/") && kind.ends_with("+json") => Some(Self::Json),
            _ => None,
        }
    }
}

/// The body with every text that stands in one of `fields` replaced by what `swap` makes of it; a text for which it makes
/// nothing stays. `None` if nothing was replaced, or the body is not what it says it is.
pub fn replace<'a>(
    media: Media,
    body: &[u8],
    fields: impl Iterator<Item = &'a Field>,
    mut swap: impl FnMut(&str) -> Option<String>,
) -> Option<Vec<u8>> {
    match media {
        Media::Json => {
            let text = std::str::from_utf8(body).ok()?;
            let root: &RawValue = serde_json::from_str(text).ok()?;
            let mut found = Vec::new();
            for field in fields {
                if let Field::Pointer(steps) = field {
                    seek(text, root.get(), steps, &mut found);
                }
            }
            splice(text, found, &mut swap)
        }
        Media::Form => {
            let names: Vec<_> = fields
                .filter_map(|field| match field {
                    Field::Form(name) => Some(name.as_str()),
                    Field::Pointer(_) | Field::Redirect(_) => None,
                })
                .collect();
            replace_in_form(body, &names, swap)
        }
    }
}

/// The address with the query parameters that `fields` name replaced, as [`replace`] does it.
pub fn replace_in_address<'a>(
    address: &str,
    fields: impl Iterator<Item = &'a Field>,
    swap: impl FnMut(&str) -> Option<String>,
) -> Option<String> {
    let names: Vec<_> = fields
        .filter_map(|field| match field {
            Field::Redirect(name) => Some(name.as_str()),
            Field::Pointer(_) | Field::Form(_) => None,
        })
        .collect();
    let (place, fragment) = match address.split_once('#') {
        Some((place, fragment)) => (place, Some(fragment)),
        None => (address, None),
    };
    let (path, query) = place.split_once('?')?;
    let query = String::from_utf8(replace_in_form(query.as_bytes(), &names, swap)?).ok()?;
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Some(format!("{path}?{query}{fragment}"))
}

/// The form, or query, with every value under one of `names` replaced.
fn replace_in_form(form: &[u8], names: &[&str], mut swap: impl FnMut(&str) -> Option<String>) -> Option<Vec<u8>> {
    let mut changed = false;
    let mut out = Vec::with_capacity(form.len());
    for (n, pair) in form.split(|byte| *byte == b'&').enumerate() {
        if n > 0 {
            out.push(b'&');
        }
        let new = form_urlencoded::parse(pair)
            .next()
            .filter(|(name, _)| names.contains(&name.as_ref()))
            .and_then(|(name, value)| Some((name.into_owned(), swap(&value)?)));
        match new {
            Some((name, value)) => {
                changed = true;
                let pair = form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
                out.extend_from_slice(pair.as_bytes());
            }
            // As it was written: an app may be particular about what we would normalise.
            None => out.extend_from_slice(pair),
        }
    }
    changed.then_some(out)
}

/// Finds where in `text` the values at `steps` below `value` stand. `value` is a part of `text`.
fn seek(text: &str, value: &str, steps: &[String], found: &mut Vec<Range<usize>>) {
    let Some((step, rest)) = steps.split_first() else {
        let start = (value.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        found.push(start..start + value.len());
        return;
    };
    if value.starts_with('{') {
        // Of several members of one name each program takes another: all are replaced.
        let Ok(members) = serde_json::from_str::<Members<'_>>(value) else { return };
        for (_, member) in members.0.into_iter().filter(|(name, _)| name == step) {
            seek(text, member.get(), rest, found);
        }
    } else if value.starts_with('[') {
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value) else { return };
        // RFC 6901 §4: no sign, no leading zero.
        let index = step.parse::<usize>().ok().filter(|index| index.to_string() == *step);
        if let Some(item) = index.and_then(|index| items.get(index)) {
            seek(text, item.get(), rest, found);
        }
    }
}

/// The members of an object in their order, doubled names included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// `text` with the JSON strings at `places` swapped.
fn splice(text: &str, places: Vec<Range<usize>>, swap: &mut impl FnMut(&str) -> Option<String>) -> Option<Vec<u8>> {
    // In the order of the text, each once, whatever the order of the fields.
    let places: BTreeMap<_, _> = places.into_iter().map(|place| (place.start, place.end)).collect();
    let mut changed = false;
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    for (start, end) in places {
        let new =
            text.get(start..end).and_then(|old| serde_json::from_str::<String>(old).ok()).and_then(|old| swap(&old));
        if let (Some(new), Some(before)) = (new, text.get(done..start)) {
            changed = true;
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(serde_json::Value::String(new).to_string().as_bytes());
            done = end;
        }
    }
    out.extend_from_slice(text.get(done..)?.as_bytes());
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_json(body: &str, fields: &[&str]) -> Option<String> {
        let fields: Vec<_> = fields.iter().map(|field| Field::parse(field).expect("field")).collect();
        let new = replace(Media::Json, body.as_bytes(), fields.iter(), |old| Some(format!("<{old}>")))?;
        Some(String::from_utf8(new).expect("text"))
    }

    #[test]
    fn only_the_named_strings_change_and_no_other_byte() {
        for (body, fields, expected) in [
            (r#"{"token":"a"}"#, vec!["/token"], Some(r#"{"token":"<a>"}"#)),
            (r#" { "n" : 1.50e3 , "token" : "a" } "#, vec!["/token"], Some(r#" { "n" : 1.50e3 , "token" : "<a>" } "#)),
            (r#"{"b":"2","a":"1"}"#, vec!["/a", "/b", "/a"], Some(r#"{"b":"<2>","a":"<1>"}"#)),
            (r#"{"data":[{"t":"a"},{"t":"b"}]}"#, vec!["/data/1/t"], Some(r#"{"data":[{"t":"a"},{"t":"<b>"}]}"#)),
            (r#"{"t":"a","t":"b"}"#, vec!["/t"], Some(r#"{"t":"<a>","t":"<b>"}"#)),
            (r#"{"t\u0031":"\u00e9\n"}"#, vec!["/t1"], Some("{\"t\\u0031\":\"<é\\n>\"}")),
            (r#"{"a/b":{"":"x"}}"#, vec!["/a~1b/"], Some(r#"{"a/b":{"":"<x>"}}"#)),
            (r#"{"t":null,"u":7,"v":{"w":[]}}"#, vec!["/t", "/u", "/v", "/v/w"], None),
            (r#"[["x"]]"#, vec!["/00/0"], None),
            (r#"{"t":"a"}"#, vec!["t", "?t", "/T"], None),
            (r#"{"t":"a""#, vec!["/t"], None),
            ("<html>", vec!["/t"], None),
            ("", vec!["/t"], None),
        ] {
            assert_eq!(in_json(body, &fields).as_deref(), expected, "{fields:?} in `{body}`");
        }
    }

    #[test]
    fn a_form_keeps_its_other_pairs_as_they_were_written() {
        let fields = [Field::parse("token").expect("field"), Field::parse("/grant").expect("field")];
        for (form, expected) in [
            ("token=a", Some("token=%3Ca%3E")),
            ("grant=x%20y&token=a+b&z", Some("grant=x%20y&token=%3Ca+b%3E&z")),
            ("token=a&token=b", Some("token=%3Ca%3E&token=%3Cb%3E")),
            ("t%6fken=a", Some("token=%3Ca%3E")),
            ("grant=a&&", None),
            ("&token=a&", Some("&token=%3Ca%3E&")),
            ("", None),
        ] {
            let new = replace(Media::Form, form.as_bytes(), fields.iter(), |old| Some(format!("<{old}>")));
            assert_eq!(new.map(|new| String::from_utf8(new).expect("text")).as_deref(), expected, "`{form}`");
        }
    }

    #[test]
    fn a_redirect_keeps_everything_but_the_named_parameter() {
        let fields = [Field::parse("?code").expect("field")];
        for (address, expected) in [
            ("com.corp.app:/cb?code=a&state=x%2Fy", Some("com.corp.app:/cb?code=%3Ca%3E&state=x%2Fy")),
            ("/cb?state=1&code=a#top", Some("/cb?state=1&code=%3Ca%3E#top")),
            ("/cb?error=denied", None),
            ("/cb#?code=a", None),
            ("/cb", None),
        ] {
            let new = replace_in_address(address, fields.iter(), |old| Some(format!("<{old}>")));
            assert_eq!(new.as_deref(), expected, "`{address}`");
        }
    }

    #[test]
    fn what_is_no_json_and_no_form_is_left_alone() {
        for (kind, expected) in [
            ("application/json", Some(Media::Json)),
            ("Application/JSON; charset=utf-8", Some(Media::Json)),
            ("application/problem+json", Some(Media::Json)),
            ("application/x-www-form-urlencoded", Some(Media::Form)),
            ("application/x-ndjson", None),
            ("application/stream+json-seq", None),
            ("text/html", None),
            ("text/event-stream", None),
            ("", None),
        ] {
            assert_eq!(Media::of(kind), expected, "`{kind}`");
        }
    }

    #[test]
    fn no_body_makes_it_panic() {
        let seed = b"{\"t\":[\"\\u00e9\",{\"t\":\"x\"}],\"t\":\"\xc3\xa9\"}&t=%zz";
        for at in 0..seed.len() {
            for byte in [0, b'"', b'\\', b'{', b'[', 0xff] {
                let mut bytes = seed.to_vec();
                bytes[at] = byte;
                for (media, text) in [(Media::Json, "/t"), (Media::Json, "/t/1/t"), (Media::Form, "t")] {
                    let field = Field::parse(text).expect("field");
                    let _ = replace(media, &bytes, std::iter::once(&field), |old| Some(old.to_owned()));
                }
            }
        }
        let deep = "[".repeat(100_000);
        assert_eq!(in_json(&deep, &["/0/0"]), None);
    }
}
