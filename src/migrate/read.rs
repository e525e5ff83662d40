//! What oauth2-proxy was told, wherever it was said: a config file in TOML, the alpha config in YAML, environment
//! variables, flags on a command line, and the last two inside a systemd unit or a compose or Kubernetes file.

use toml::Value;

use super::options::{Kind, option};
use super::{MAX_FILE, Source, Unreadable, alpha, yaml};

/// One option with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The flag's name, without `--`; as it was written, if no such option is known.
    pub(super) name: String,
    pub(super) values: Vec<String>,
    pub(super) place: String,
}

/// All of them, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(Vec<Setting>);

/// How environment variables begin.
const PREFIX: &str = "OAUTH2_PROXY_";

impl Settings {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }

    /// The values of an option, empty ones left out.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|setting| setting.name == name);
        found.flat_map(|setting| setting.values.clone()).filter(|value| !value.is_empty()).collect()
    }

    /// The value of an option that has one.
    pub(super) fn one(&self, name: &str) -> Option<String> {
        self.all(name).pop()
    }

    /// Whether a switch is on; `usual` where nothing is said.
    pub(super) fn is_on(&self, name: &str, usual: bool) -> bool {
        let said = self.0.iter().rfind(|setting| setting.name == name);
        said.map_or(usual, |setting| setting.values.last().is_none_or(|value| super::words::yes(value)))
    }

    /// Adds one; of an option with one value the later counts, of a list all.
    pub(super) fn add(&mut self, written: &str, values: Vec<String>, place: String) {
        let known = option(written);
        let name = known.map_or(written, |known| known.flag).to_owned();
        let many = known.is_some_and(|known| known.kind == Kind::List);
        let values = if many { values.iter().flat_map(|value| split(value)).collect() } else { values };
        match self.0.iter_mut().find(|setting| setting.name == name) {
            Some(setting) if many => setting.values.extend(values),
            Some(setting) => *setting = Setting { name, values, place },
            None => self.0.push(Setting { name, values, place }),
        }
    }

    /// Reads one file, whichever form it has.
    pub(super) fn read(&mut self, source: Source<'_>) -> Result<(), Unreadable> {
        let Source { name, text } = source;
        if text.len() > MAX_FILE {
            return Err(Unreadable(format!("{name} is larger than 1 MiB: that is no config")));
        }
        if let Ok(table) = text.parse::<toml::Table>() {
            self.toml(&table, text);
            return Ok(());
        }
        let tree = yaml::parse(text);
        if let Ok(Some(tree)) = &tree
            && alpha::is_alpha(tree)
        {
            alpha::read(tree, self);
            return Ok(());
        }
        let before = self.0.len();
        self.lines(text);
        if self.0.len() > before {
            return Ok(());
        }
        let why = match tree {
            Err(why) if name.ends_with(".yaml") || name.ends_with(".yml") => why,
            _ => "it is neither oauth2-proxy's TOML nor its alpha YAML, and has no flag and no OAUTH2_PROXY_ variable"
                .to_owned(),
        };
        Err(Unreadable(format!("{name}: {why}")))
    }

    fn toml(&mut self, table: &toml::Table, text: &str) {
        for (key, value) in table {
            let values = match value {
                Value::Array(items) => items.iter().map(plain).collect(),
                other => vec![plain(other)],
            };
            let at = text.lines().position(|line| line.trim_start().trim_start_matches('"').starts_with(key.as_str()));
            let place = at.map_or_else(String::new, |at| format!("line {}", at + 1));
            self.add(key, values, place);
        }
    }

    /// Flags and variables, line by line.
    fn lines(&mut self, text: &str) {
        let mut waiting: Option<(String, String)> = None;
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            let place = format!("line {}", n + 1);
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some((name, value)) = variable(line) {
                self.add(&name, vec![value], place);
                continue;
            }
            for word in shell_words(line) {
                let Some(flag) =
                    word.strip_prefix("--").filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()))
                else {
                    // What is no flag is the value of the flag before it, or part of the command.
                    let list_mark = matches!(word.as_str(), "-" | "\\" | "[" | "]" | ",");
                    if let Some((name, place)) = waiting.take_if(|_| !list_mark) {
                        self.add(&name, vec![word], place);
                    }
                    continue;
                };
                if let Some((name, place)) = waiting.take() {
                    self.add(&name, vec![String::new()], place);
                }
                match flag.split_once('=') {
                    Some((name, value)) => self.add(name, vec![value.to_owned()], place.clone()),
                    None if option(flag).is_some_and(|known| known.kind == Kind::Switch) => {
                        self.add(flag, vec!["true".to_owned()], place.clone());
                    }
                    None => waiting = Some((flag.to_owned(), place.clone())),
                }
            }
        }
        if let Some((name, place)) = waiting {
            self.add(&name, vec![String::new()], place);
        }
    }
}

/// `OAUTH2_PROXY_NAME=value` or `OAUTH2_PROXY_NAME: value`, also behind `export`, `Environment=`, `-` and quotes.
fn variable(line: &str) -> Option<(String, String)> {
    let (before, rest) = line.split_once(PREFIX)?;
    if before.contains("--") || before.contains('$') {
        return None;
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (name, rest) = rest.split_at_checked(end)?;
    let value = rest.trim_start_matches(['"', '\'']).trim_start();
    let value = value.strip_prefix(['=', ':'])?.trim().trim_end_matches(',');
    let value = value.trim_matches(['"', '\'']);
    Some((format!("{PREFIX}{name}"), value.to_owned()))
}

/// The words of a line as a shell sees them: quotes hold together, `\` at its end is nothing.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            // A list in brackets (`["--a", "--b"]`) has commas between its words.
            (None, '[') if word.is_none() => {}
            (None, ',') if word.as_ref().is_some_and(|word| !word.contains('=')) => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    // What stands behind a quoted word of such a list belongs to the list; a bracket that the word opened is its own.
    let bare = |word: String| {
        let bare = word.trim_end_matches(',');
        let bare = if bare.contains('[') { bare } else { bare.trim_end_matches(']') };
        bare.to_owned()
    };
    words.into_iter().map(bare).filter(|word| !word.is_empty()).collect()
}

/// The parts of a list that is written as one text.
fn split(value: &str) -> Vec<String> {
    value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => String::new(),
    }
}
