//! The pages, and what they are made of. All of it is in the program; nothing is loaded from elsewhere.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::answer;
use crate::page::escape;
use crate::session::Session;

/// A page: its path, its name in the menu, and what it holds.
struct Page {
    path: &'static str,
    name: &'static str,
    body: &'static str,
    script: &'static str,
}

const PAGES: [Page; 7] = [
    Page { path: "/", name: "Now", body: include_str!("pages/now.html"), script: "now" },
    Page { path: "/kill", name: "Kill", body: include_str!("pages/kill.html"), script: "kill" },
    Page {
        path: "/revocations",
        name: "Revocations",
        body: include_str!("pages/revocations.html"),
        script: "revocations",
    },
    Page { path: "/people", name: "People", body: include_str!("pages/people.html"), script: "people" },
    Page { path: "/streams", name: "Streams", body: include_str!("pages/streams.html"), script: "streams" },
    Page { path: "/apps", name: "Apps", body: include_str!("pages/apps.html"), script: "apps" },
    Page { path: "/explain", name: "Explain", body: include_str!("pages/explain.html"), script: "explain" },
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What is below `/static/`: name, type, text.
const STATIC: [(&str, &str, &str); 10] = [
    ("console.css", "text/css; charset=utf-8", include_str!("pages/console.css")),
    ("lib.js", SCRIPT, include_str!("pages/lib.js")),
    ("chart.js", SCRIPT, include_str!("pages/chart.js")),
    ("now.js", SCRIPT, include_str!("pages/now.js")),
    ("kill.js", SCRIPT, include_str!("pages/kill.js")),
    ("revocations.js", SCRIPT, include_str!("pages/revocations.js")),
    ("people.js", SCRIPT, include_str!("pages/people.js")),
    ("streams.js", SCRIPT, include_str!("pages/streams.js")),
    ("apps.js", SCRIPT, include_str!("pages/apps.js")),
    ("explain.js", SCRIPT, include_str!("pages/explain.js")),
];

/// The page or part at `path`, if there is one.
pub(super) fn find(path: &str, session: &Session) -> Option<Response<Bytes>> {
    if let Some(page) = PAGES.iter().find(|page| page.path == path) {
        return Some(answer::of(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(html(page, session))));
    }
    let name = path.strip_prefix("/static/")?;
    let (_, kind, text) = STATIC.iter().find(|(known, _, _)| *known == name)?;
    Some(answer::of(StatusCode::OK, kind, Bytes::from_static(text.as_bytes())))
}

fn html(page: &Page, session: &Session) -> String {
    let link = |other: &Page| {
        let current = if other.path == page.path { " aria-current=\"page\"" } else { "" };
        format!("<li><a href=\"{}\"{current}>{}</a></li>", other.path, other.name)
    };
    let menu: String = PAGES.iter().map(link).collect();
    let person = &session.person;
    let who = person.email.as_ref().or(person.preferred_username.as_ref()).unwrap_or(&person.subject);
    FRAME
        .replace("@title@", page.name)
        .replace("@menu@", &menu)
        .replace("@script@", page.script)
        .replace("@body@", page.body)
        // Last, so that nobody's name is taken for a place to fill in.
        .replace("@who@", &escape(who))
}

const FRAME: &str = include_str!("pages/frame.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_has_a_script_or_a_style_of_its_own_or_asks_elsewhere() {
        for (name, text) in PAGES.iter().map(|page| (page.name, page.body)).chain([("frame", FRAME)]) {
            for word in ["style=", " on", "<style", "src=\"http", "href=\"http", "javascript:"] {
                let found =
                    text.split('<').skip(1).filter_map(|tag| tag.split('>').next()).any(|tag| tag.contains(word));
                assert!(!found, "{name} has `{word}`");
            }
            assert_eq!(text.matches("<script").count(), usize::from(name == "frame"), "{name}");
        }
        for (name, _, text) in STATIC {
            for word in [
                "innerHTML",
                "outerHTML =",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "https://",
                "setAttribute('style'",
            ] {
                assert!(!text.contains(word), "{name} has `{word}`");
            }
        }
    }
}
