//! On the way out: a `Set-Cookie` of an app, with its value sealed (RFC 6265 §5.2).

use super::{AppCookie, Kept, Lineage, Names, parts};
use crate::apps::App;
use crate::seal::KeyRing;
use crate::time::Timestamp;

/// What goes out instead of a `Set-Cookie` value.
#[derive(Clone, PartialEq, Eq)]
pub enum Dressed {
    /// What the app wrote.
    Same,
    /// This.
    Sealed(Vec<u8>),
    /// These: a large cookie in parts, or one whose former parts the browser is to forget.
    Several(Vec<Vec<u8>>),
    /// Nothing: the cookie is too large to be sealed, and unsealed it would not come back.
    Dropped,
}

impl std::fmt::Debug for Dressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Same => "Same",
            Self::Sealed(_) => "Sealed",
            Self::Several(_) => "Several",
            Self::Dropped => "Dropped",
        })
    }
}

/// Seals the value of one `Set-Cookie` field of `app`, if it is one that needs it.
///
/// `session` is the lineage of the session that the answer goes to; without one nothing is sealed. `kept` are the
/// cookies that came with the request: a value that is set again keeps its lineage. `path` is that of the request.
pub fn dress(
    field: &[u8],
    (app, ring, names): (&App, &KeyRing, &Names),
    session: Option<&Lineage>,
    kept: &[Kept],
    path: &str,
    now: Timestamp,
) -> Dressed {
    let Some(cookie) = SetCookie::parse(field) else { return Dressed::Same };
    if cookie.http_only {
        names.remember(app, cookie.name);
    }
    if !(cookie.http_only || names.guards(app, cookie.name)) {
        return Dressed::Same;
    }
    let former = names.parts(app, cookie.name);
    let Some(session) = session.filter(|_| !cookie.deletes(now)) else {
        // It goes as it is, and the browser is to forget what it was before as a whole.
        let fields = [field.to_vec()].into_iter().chain(cookie.without_parts(2..=former));
        return if former > 1 { Dressed::Several(fields.collect()) } else { Dressed::Same };
    };
    let same = |kept: &&Kept| kept.name == cookie.name && kept.cookie.value == cookie.value;
    let sealed = AppCookie {
        lineage: kept.iter().find(same).map_or(session, |kept| &kept.cookie.lineage).clone(),
        path: cookie.path.filter(|path| path.starts_with('/')).unwrap_or_else(|| default_path(path)).to_owned(),
        domain: cookie.domain.unwrap_or_default().to_owned(),
        partitioned: cookie.partitioned,
        value: cookie.value.to_vec(),
    };
    let sealed = sealed.seal(ring, app, cookie.name);
    let Some(mut fields) = sealed.and_then(|sealed| parts::split(cookie.name, &sealed, cookie.attributes)) else {
        return Dressed::Dropped;
    };
    names.split(app, cookie.name, fields.len());
    fields.extend(cookie.without_parts(fields.len() + 1..=former));
    match fields.pop() {
        Some(only) if fields.is_empty() => Dressed::Sealed(only),
        last => Dressed::Several(fields.into_iter().chain(last).collect()),
    }
}

/// One `Set-Cookie` field, read as browsers do.
struct SetCookie<'a> {
    name: &'a str,
    value: &'a [u8],
    /// Everything from the first `;` on, as it was written.
    attributes: &'a [u8],
    http_only: bool,
    partitioned: bool,
    path: Option<&'a str>,
    domain: Option<&'a str>,
    max_age: Option<&'a str>,
    expires: Option<&'a str>,
}

impl<'a> SetCookie<'a> {
    /// `None` for what has no name, or a name that is no text.
    fn parse(field: &'a [u8]) -> Option<Self> {
        let end = field.iter().position(|byte| *byte == b';').unwrap_or(field.len());
        let (pair, attributes) = field.split_at_checked(end)?;
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        let name = std::str::from_utf8(name.trim_ascii()).ok().filter(|name| name.is_ascii() && !name.is_empty())?;
        let value = value.strip_prefix(b"=")?.trim_ascii();
        let mut cookie = Self {
            name,
            value,
            attributes,
            http_only: false,
            partitioned: false,
            path: None,
            domain: None,
            max_age: None,
            expires: None,
        };
        for attribute in attributes.split(|byte| *byte == b';') {
            let Ok(text) = std::str::from_utf8(attribute) else { continue };
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            let value = value.trim();
            // Of several of one name the last counts.
            match key.trim().to_ascii_lowercase().as_str() {
                "httponly" => cookie.http_only = true,
                "partitioned" => cookie.partitioned = true,
                "path" => cookie.path = Some(value),
                "domain" => cookie.domain = Some(value),
                "max-age" => cookie.max_age = Some(value),
                "expires" => cookie.expires = Some(value),
                _ => {}
            }
        }
        Some(cookie)
    }

    /// Makes the browser forget these parts of the cookie. Of several attributes of one name the last counts.
    fn without_parts(&self, numbers: std::ops::RangeInclusive<usize>) -> impl Iterator<Item = Vec<u8>> {
        numbers.map(|n| [parts::name_of(self.name, n).as_bytes(), b"=", self.attributes, b"; Max-Age=0"].concat())
    }

    /// Whether the browser forgets the cookie on this. Max-Age goes before Expires (RFC 6265 §5.3).
    fn deletes(&self, now: Timestamp) -> bool {
        let by_age = self.max_age.and_then(|age| age.parse::<i64>().ok()).map(|age| age <= 0);
        let by_date = || self.expires.and_then(date).is_some_and(|at| at <= now.secs());
        self.value.is_empty() || by_age.unwrap_or_else(by_date)
    }
}

/// Where a cookie without `Path` lives (RFC 6265 §5.1.4).
fn default_path(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((directory, _)) if directory.starts_with('/') => directory,
        Some(_) | None => "/",
    }
}

/// The moment that a cookie date names, in seconds since 1970 (RFC 6265 §5.1.1); 0 for earlier ones.
fn date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != ':') {
        let number = || token.parse::<u64>().ok();
        let lower = token.to_ascii_lowercase();
        if time.is_none() && token.contains(':') {
            let mut parts = token.split(':').map(|part| part.parse::<u64>().ok());
            let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
            if hours > 23 || minutes > 59 || seconds > 59 {
                return None;
            }
            time = Some(hours * 3600 + minutes * 60 + seconds);
        } else if day.is_none() && token.len() <= 2 && number().is_some() {
            day = number();
        } else if month.is_none() && MONTHS.iter().any(|name| lower.starts_with(name)) {
            month = MONTHS.iter().zip(1_u64..).find(|(name, _)| lower.starts_with(*name)).map(|(_, n)| n);
        } else if year.is_none() && token.len() <= 4 && number().is_some() {
            year = number().map(|year| match year {
                0..=69 => year + 2000,
                70..=99 => year + 1900,
                _ => year,
            });
        }
    }
    let (time, day, month, year) = (time?, day?, month?, year?);
    if !(1..=31).contains(&day) || year < 1601 {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    // Days since 1970-01-01 by years that begin in March (the leap day comes last).
    let shifted = if month <= 2 { year - 1 } else { year };
    let since_march = (month + 9) % 12;
    let day_of_year = (153 * since_march + 2) / 5 + day - 1;
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year;
    Some(days.saturating_sub(719_468) * 86_400 + time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_browsers_read_it() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 01-Jan-1970 00:00:01 GMT", Some(1)),
            ("Thu, 01-Jan-70 00:00:10 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Fri, 15 Jan 2027 08:00:00 GMT", Some(1_800_000_000)),
            ("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800)),
            ("Mon, 01 Jan 1900 00:00:00 GMT", Some(0)),
            ("tomorrow", None),
            ("99:99:99 1 Jan 2000", None),
            ("", None),
        ] {
            assert_eq!(date(text), expected, "`{text}`");
        }
    }

    #[test]
    fn a_deletion_is_told_from_a_cookie() {
        let now = Timestamp::from_secs(1_800_000_000);
        for (field, deletes) in [
            ("a=b", false),
            ("a=", true),
            ("a=b; Max-Age=0", true),
            ("a=b; max-age=-1", true),
            ("a=b; Max-Age=10", false),
            ("a=b; Max-Age=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
            ("a=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0", true),
            ("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", false),
            ("a=b; Expires=Fri, 15 Jan 2027 08:00:01 GMT", false),
            ("a=b; Expires=soon", false),
        ] {
            let cookie = SetCookie::parse(field.as_bytes()).expect("a cookie");
            assert_eq!(cookie.deletes(now), deletes, "`{field}`");
        }
    }
}
