//! YAML as a tree, within bounds: no aliases (a few lines of them can stand for gigabytes), so deep and so much of it.

use saphyr_parser::{Event, Parser, Span};

/// A value, and the line where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

const DEEPEST: usize = 32;
const MOST: usize = 20_000;

impl Node {
    /// The value under `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The entries of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }
}

/// What is open while the events come: a list, or a map with the key that waits for its value.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<(String, Node)>, Option<String>),
}

/// The first document of `text`; `None` if it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Node>, String> {
    let mut open: Vec<Open> = Vec::new();
    for (count, event) in Parser::new_from_str(text).enumerate() {
        let (event, span) = event.map_err(|error| format!("this is not YAML: {error}"))?;
        if count > MOST {
            return Err(format!("there is more in it than {MOST} values"));
        }
        let done = match event {
            Event::Alias(_) => return Err(format!("line {}: aliases are not read; write it out", line(&span))),
            Event::Scalar(text, ..) => Node { line: line(&span), value: Value::Text(text.into_owned()) },
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEEPEST => {
                return Err(format!("line {}: it is nested deeper than {DEEPEST}", line(&span)));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(line(&span), Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line(&span), Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, items)) => Node { line, value: Value::List(items) },
                Some(Open::Map(line, entries, _)) => Node { line, value: Value::Map(entries) },
                None => continue,
            },
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
            Event::StreamEnd | Event::DocumentEnd => return Ok(None),
        };
        match open.last_mut() {
            None => return Ok(Some(done)),
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, entries, key)) => match key.take() {
                Some(key) => entries.push((key, done)),
                None => *key = Some(done.text().unwrap_or_default().to_owned()),
            },
        }
    }
    Ok(None)
}

fn line(span: &Span) -> usize {
    span.start.line()
}
