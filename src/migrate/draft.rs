//! Our config while it is written: its sections, what was left out beside where it would stand, and what is still to do.

use super::words::{list, quoted};
use super::{Left, Migrated};

/// Where a line stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Server,
    Session,
    Log,
    Outbound,
    Idp,
    App,
}

/// One app.
#[derive(Clone, Debug, Default)]
pub(super) struct AppDraft {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

/// The config as far as it is written.
#[derive(Debug)]
pub(super) struct Draft {
    from: String,
    product: &'static str,
    lines: Vec<(Section, String)>,
    apps: Vec<AppDraft>,
    left: Vec<Left>,
    to_do: Vec<String>,
}

/// The name of the one IdP.
pub(super) const IDP: &str = "corp";

impl Draft {
    pub(super) fn new(from: &str, product: &'static str) -> Self {
        let (lines, apps, left) = (Vec::new(), Vec::new(), Vec::new());
        Self { from: from.to_owned(), product, lines, apps, left, to_do: Vec::new() }
    }

    /// `key = value`, the value as TOML writes it.
    pub(super) fn set(&mut self, section: Section, key: &str, value: &str) {
        self.lines.push((section, format!("{key} = {value}")));
    }

    /// `key = "text"`.
    pub(super) fn text(&mut self, section: Section, key: &str, text: &str) {
        self.set(section, key, &quoted(text));
    }

    /// `key = ["text", …]`.
    pub(super) fn list(&mut self, section: Section, key: &str, texts: &[String]) {
        self.set(section, key, &list(texts));
    }

    /// What has no like here.
    pub(super) fn leave(&mut self, section: Section, left: Left) {
        self.lines.push((section, format!("# NOT TRANSLATED {}", one_line(&left.to_string()))));
        self.left.push(left);
    }

    /// What has to be done before it runs.
    pub(super) fn remind(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.to_do.contains(&what) {
            self.to_do.push(what);
        }
    }

    /// A further app, under a name that no other has.
    pub(super) fn app(&mut self, mut app: AppDraft) {
        let wanted = app.name.clone();
        let mut n = 2;
        while self.apps.iter().any(|other| other.name == app.name) {
            app.name = format!("{wanted}-{n}");
            n += 1;
        }
        self.apps.push(app);
    }

    /// The whole.
    pub(super) fn finished(mut self) -> Migrated {
        self.remind("make a key: `portcullis keygen ring-1.key`");
        self.remind("make the operators' token: `(umask 077; openssl rand -hex 32 > admin.token)`");
        let mut out = format!("# Written by `portcullis migrate {}` from {}. ", self.product, one_line(&self.from));
        out.push_str("Read it before it runs: `portcullis check -c FILE`.\n");
        out.push_str("# The files that it names lie beside it. Before the first start:\n");
        for what in &self.to_do {
            out.push_str(&format!("#   - {}\n", one_line(what)));
        }
        self.section(&mut out, "[server]", Section::Server);
        out.push_str("\n[admin]\nlisten = \"127.0.0.1:9090\"\ntoken_file = \"admin.token\"\n");
        out.push_str("\n[keys]\nfiles = [\"ring-1.key\"]\n");
        out.push_str("\n[ledger]\npath = \"/var/lib/portcullis/ledger.db\"\n");
        self.section(&mut out, "[session]", Section::Session);
        self.section(&mut out, "[log]", Section::Log);
        self.section(&mut out, "[outbound]", Section::Outbound);
        self.section(&mut out, &format!("[idps.{IDP}]"), Section::Idp);
        for (n, app) in self.apps.iter().enumerate() {
            out.push_str(&format!("\n[apps.{}]\n", app.name));
            let shared = self.lines.iter().filter(|(section, _)| *section == Section::App);
            // What all apps have in common stands in each; what was left out of them stands once.
            let shared = shared.map(|(_, line)| line).filter(|line| n == 0 || !line.starts_with('#'));
            for line in app.lines.iter().chain(shared) {
                out.push_str(line);
                out.push('\n');
            }
        }
        Migrated { toml: out, left_out: self.left, to_do: self.to_do }
    }

    fn section(&self, out: &mut String, head: &str, section: Section) {
        let mut lines = self.lines.iter().filter(|(of, _)| *of == section).map(|(_, line)| line).peekable();
        if lines.peek().is_some() {
            out.push_str(&format!("\n{head}\n"));
        }
        for line in lines {
            out.push_str(line);
            out.push('\n');
        }
    }
}

/// Without line breaks and other control characters: it stands in a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
