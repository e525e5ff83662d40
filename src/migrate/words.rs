//! Small readings that both translations need: URLs, spans, names.

use url::Url;

/// A text in TOML, between quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of texts in TOML.
pub(super) fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A span as Go writes it (`168h0m0s`, `1m30s`, `0`), in seconds; `None` for what is none.
pub(super) fn go_span(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let unit = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            "ms" | "us" | "ns" => 0,
            _ => return None,
        };
        seconds = seconds.saturating_add(number.parse::<u64>().ok()?.saturating_mul(unit));
        rest = after;
    }
    Some(seconds)
}

/// Seconds as our config writes them, within what it takes.
pub(super) fn span(seconds: u64) -> String {
    let seconds = seconds.clamp(1, 366 * 86_400);
    match seconds {
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// Whether it says yes, as a flag, a config file or an environment variable may say it.
pub(super) fn yes(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "" | "true" | "1" | "t" | "on" | "yes")
}

/// A URL with a host, whose scheme is http or https.
pub(super) fn web_url(text: &str) -> Option<Url> {
    Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Scheme, host and port as they are usually written.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether plain HTTP may be spoken to that host.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(crate::identity::is_loopback)
}

/// What something can be called in our config, made of `text`.
pub(super) fn name_of(text: &str, usual: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let plain: String = plain.trim_matches('-').chars().take(30).collect();
    if plain.is_empty() { usual.to_owned() } else { plain }
}

/// A path as `rules` and `url` take it; `None` where ours would mean another.
pub(super) fn plain_path(text: &str) -> Option<String> {
    let path = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let climbs = path.split('/').any(|part| matches!(part, "." | ".."));
    (path.starts_with('/') && path.chars().all(plain) && !path.contains("//") && !climbs).then(|| path.to_owned())
}

/// The e-mail domain as `allow` takes it.
pub(super) fn domain(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let labels = text.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    (!text.is_empty() && text.chars().all(plain) && labels).then(|| text.to_ascii_lowercase())
}
