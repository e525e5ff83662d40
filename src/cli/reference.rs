//! `portcullis reference`: every key of the config. Which keys there are and what form they have, the readers of the config
//! tell; what they mean, the comments of the file that is shipped.

mod prose;

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use self::prose::Prose;
use crate::config::{Form, Key, Shape};

/// The reference for people, in Markdown; or for editors, as a JSON schema.
pub(super) fn reference(as_schema: bool) -> String {
    let (shape, prose) = (Shape::of_config(), Prose::of_the_sample());
    if !as_schema {
        return page(&shape, &prose);
    }
    let mut schema = table(&shape, &prose, "");
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        schema.insert("title".to_owned(), json!("Portcullis"));
    }
    // Serialising maps with text for keys into memory has no failing case.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// A section for each table, in it a paragraph for each key.
fn page(shape: &Shape, prose: &Prose) -> String {
    let mut out =
        "# The config, key by key\n\nSpans are written `500ms`, `30s`, `5m`, `12h`, `30d`; sizes `64KiB`, `2GiB`. \
                   `NAME` is a name of your choice.\n"
            .to_owned();
    for place in shape.tables() {
        let heading = if place.is_empty() { "The tables of the file".to_owned() } else { format!("`[{place}]`") };
        out.push_str(&format!("\n## {heading}\n"));
        if let Some(about) = prose.of_table(place) {
            out.push_str(&format!("\n{about}\n"));
        }
        for (name, key) in shape.keys(place) {
            let must = if key.required { "; must be there" } else { "" };
            // Writing into a text has no failing case.
            let _ = write!(out, "\n**`{name}`**: {}{must}.", forms(key));
            out.push_str(
                &prose.of_key(place, name).map(|about| format!(" {about}\n")).unwrap_or_else(|| "\n".to_owned()),
            );
        }
    }
    out
}

/// The forms of a value, in words.
fn forms(key: &Key) -> String {
    key.forms.iter().map(form).collect::<Vec<_>>().join(" or ")
}

fn form(form: &Form) -> String {
    let of = |words: &[String], free: &str| {
        if words.is_empty() {
            free.to_owned()
        } else {
            words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
        }
    };
    match form {
        Form::Text(words) => of(words, "text"),
        Form::Texts(words) if words.is_empty() => "list of texts".to_owned(),
        Form::Texts(words) => format!("list of {}", of(words, "")),
        Form::TextOrTexts(words) if words.is_empty() => "text or list of texts".to_owned(),
        Form::TextOrTexts(words) => format!("one or a list of {}", of(words, "")),
        Form::Flag => "`true` or `false`".to_owned(),
        Form::Number(least, most) => format!("whole number, {least} to {most}"),
        Form::Table => "table".to_owned(),
        Form::Tables => "list of tables".to_owned(),
        Form::Named => "tables with names of your choice".to_owned(),
        Form::Choices => "keys of your choice, each with a text or a table".to_owned(),
        Form::ByName => "keys of your choice, each with a text or a list of texts".to_owned(),
    }
}

/// The schema of the table at that place.
fn table(shape: &Shape, prose: &Prose, place: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, key) in shape.keys(place) {
        let mut forms: Vec<_> = key.forms.iter().map(|form| value(shape, prose, place, name, form)).collect();
        let mut schema = if forms.len() == 1 { forms.remove(0) } else { json!({ "anyOf": forms }) };
        if let (Some(about), Some(schema)) = (prose.of_key(place, name), schema.as_object_mut()) {
            schema.insert("description".to_owned(), json!(about));
        }
        properties.insert(name.to_owned(), schema);
        if key.required {
            required.push(name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn value(shape: &Shape, prose: &Prose, place: &str, name: &str, form: &Form) -> Value {
    let text = |words: &[String]| {
        if words.is_empty() { json!({ "type": "string" }) } else { json!({ "type": "string", "enum": words }) }
    };
    let below = || Shape::below(place, name, form).map(|below| table(shape, prose, &below)).unwrap_or_default();
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    match form {
        Form::Text(words) => text(words),
        Form::Texts(words) => json!({ "type": "array", "items": text(words) }),
        Form::TextOrTexts(words) => json!({ "anyOf": [text(words), { "type": "array", "items": text(words) }] }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Form::Table => below(),
        Form::Tables => json!({ "type": "array", "items": below() }),
        Form::Named => json!({ "type": "object", "additionalProperties": below() }),
        Form::Choices => {
            json!({ "type": "object", "additionalProperties": { "anyOf": [{ "type": "string" }, below()] } })
        }
        Form::ByName => {
            json!({ "type": "object", "additionalProperties": { "anyOf": [{ "type": "string" }, texts()] } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever adds a key writes down what it does.
    #[test]
    fn every_key_is_explained_in_the_sample() {
        let (shape, prose) = (Shape::of_config(), Prose::of_the_sample());
        let missing: Vec<_> = shape
            .tables()
            .filter(|place| !place.is_empty())
            .flat_map(|place| shape.keys(place).map(move |(name, _)| (place, name)))
            .filter(|(place, name)| !is_secret_itself(&shape, place, name) && prose.of_key(place, name).is_none())
            .map(|(place, name)| format!("{place}: {name}"))
            .collect();
        assert_eq!(missing, Vec::<String>::new(), "conf/portcullis.toml does not say what these are");
    }

    /// The form of a secret that stands in the config itself; its comment is that of `KEY_file`.
    fn is_secret_itself(shape: &Shape, place: &str, name: &str) -> bool {
        shape.keys(place).any(|(other, _)| other == format!("{name}_file"))
    }

    /// What is explained can be written.
    #[test]
    fn the_sample_explains_no_key_that_is_not_there() {
        let shape = Shape::of_config();
        let unknown: Vec<_> = Prose::of_the_sample()
            .keys()
            .filter(|(place, name)| !shape.keys(place).any(|(known, _)| known == *name))
            .map(|(place, name)| format!("{place}: {name}"))
            .collect();
        assert_eq!(unknown, Vec::<String>::new(), "the config does not know these");
    }

    #[test]
    fn the_schema_knows_words_bounds_and_names() {
        let schema: Value = serde_json::from_str(&reference(true)).expect("JSON");
        let app = &schema["properties"]["apps"]["additionalProperties"];
        assert_eq!(app["properties"]["when_blind"]["enum"], json!(["serve", "reestablish", "refuse"]));
        assert_eq!(app["required"], json!(["idp", "url"]));
        assert_eq!(app["additionalProperties"], json!(false));
        assert_eq!(app["properties"]["rules"]["items"]["required"], json!(["path"]));
        assert_eq!(schema["properties"]["server"]["properties"]["threads"]["maximum"], json!(1024));
        assert_eq!(schema["properties"]["fleet"]["properties"]["engine"]["enum"], json!(["jetstream", "postgres"]));
    }
}
