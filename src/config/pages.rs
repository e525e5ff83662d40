//! `[pages]`: how the pages look that people see from the gateway.

use url::Url;

use super::reader::{Reader, Why};
use super::values::one_of;
use crate::page::{Colour, Contact, Language, Logo, Look};

/// Characters of a name, or of a line on whom to ask: it stands below a page.
const MAX_LINE: usize = 120;

pub(super) fn pages(table: &Reader<'_>) -> Look {
    let contact = table.parse("contact", line).map(|at| at.value);
    let url = table.parse("contact_url", contact_url);
    if let (None, Some(url)) = (&contact, &url) {
        table.context().fault(&url.place, "it leads from the text of `contact`, and there is none");
    }
    let languages: Vec<_> = Language::ALL.iter().map(|language| (language.tag(), *language)).collect();
    Look {
        name: table.parse("name", line).map(|at| at.value),
        logo: table.public_file("logo_file", |bytes| Logo::parse(bytes).map_err(|invalid| Why(invalid.to_string()))),
        colour: table.parse("colour", colour).map(|at| at.value),
        contact: contact.map(|text| Contact { text, url: url.map(|at| at.value) }),
        language: table.or("language", one_of(&languages, &[]), Language::default()),
        says_why: table.flag("say_why", false),
    }
}

/// One line of plain text.
fn line(text: &str) -> Result<String, Why> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > MAX_LINE || text.chars().any(char::is_control) {
        return Err(Why(format!("write one line of at most {MAX_LINE} characters")));
    }
    Ok(text.trim().to_owned())
}

fn colour(text: &str) -> Result<Colour, Why> {
    Colour::parse(text).map_err(|invalid| Why(format!("`{text}`: {invalid}")))
}

/// Where a person finds help: a page, an address to write to, or a number to call.
fn contact_url(text: &str) -> Result<Url, Why> {
    let url = Url::parse(text).ok().filter(|url| match url.scheme() {
        "https" => url.has_host(),
        "mailto" | "tel" => !url.path().is_empty(),
        _ => false,
    });
    url.ok_or_else(|| Why(format!("`{text}` leads nowhere; write `https://…`, `mailto:…` or `tel:…`")))
}
