//! One reading of a request's path: what is decided on is what is forwarded, byte for byte.
//!
//! Programs disagree about encoded slashes, dot segments, backslashes and path parameters; each disagreement has been
//! somebody's bypass. So a path is either brought to one form here or refused.

use std::fmt;

/// A path in its one form: starts with `/`, no dot segments, no empty segments, unreserved characters bare, all other
/// escapes in upper case, nothing encoded that separates (RFC 3986 §6.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalPath(String);

/// Why a path is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not start with `/`.
    #[error("the path does not start with a slash")]
    NotAbsolute,
    /// A backslash, `#`, blank, control character or raw non-ASCII byte.
    #[error("the path has a character that is not allowed in a URL")]
    Character,
    /// `%` without two hex digits.
    #[error("the path has a broken percent escape")]
    Escape,
    /// `%2F`, `%5C`, an encoded control character or an overlong encoding of one of these.
    #[error("the path has an encoded separator or control character")]
    EncodedSeparator,
    /// A dot segment with a path parameter (`..;x`).
    #[error("the path has a dot segment with a parameter")]
    DotParameter,
}

impl CanonicalPath {
    /// Brings `raw` (without query) to its one form, or says why not.
    pub fn parse(raw: &str) -> Result<Self, BadPath> {
        if !raw.starts_with('/') {
            return Err(BadPath::NotAbsolute);
        }
        let plain = unescape_unreserved(raw)?;
        let mut segments: Vec<&str> = Vec::new();
        for segment in plain.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                _ if segment.starts_with(".;") || segment.starts_with("..;") => return Err(BadPath::DotParameter),
                _ => segments.push(segment),
            }
        }
        // A path that ended in a slash or a dot segment names a directory, and goes on doing so.
        let directory = plain.ends_with('/') || plain.ends_with("/.") || plain.ends_with("/..");
        let mut path = String::with_capacity(plain.len());
        for segment in &segments {
            path.push('/');
            path.push_str(segment);
        }
        if directory || path.is_empty() {
            path.push('/');
        }
        Ok(Self(path))
    }

    /// The path as it is forwarded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the path is `prefix` or lies below it, at a segment boundary, byte for byte.
    pub fn is_below(&self, prefix: &Prefix) -> bool {
        below(&self.0, &prefix.0)
    }

    /// The same question in the loosest reading that an app might have: letters of either case are equal and path
    /// parameters (`;x=y`) are not there, nor is a segment that consists of them alone. For rules that restrict.
    pub fn may_be_below(&self, prefix: &Prefix) -> bool {
        let bare: String = self
            .0
            .split('/')
            .filter_map(|segment| segment.split(';').next())
            .filter(|name| !name.is_empty())
            .flat_map(|name| ["/", name])
            .collect();
        below(&bare.to_lowercase(), &prefix.0.to_lowercase())
    }

    /// True if a segment carries a path parameter.
    pub fn has_parameters(&self) -> bool {
        self.0.contains(';')
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The start of a path, in segments, as rules and apps name it: `/` or `/a/b`, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// A prefix in canonical form; `None` where [`CanonicalPath::parse`] would refuse or change it.
    pub fn parse(text: &str) -> Option<Self> {
        let path = CanonicalPath::parse(text).ok()?;
        let bare = path.0.trim_end_matches('/');
        let same = text.trim_end_matches('/') == bare;
        (same && !bare.contains([';', '*', '?'])).then(|| Self(bare.to_owned()))
    }

    /// Characters, for "the longest prefix wins".
    pub fn length(&self) -> usize {
        self.0.len()
    }

    /// The prefix as people write it.
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }
}

fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Decodes escapes of unreserved characters (RFC 3986 §6.2.2.2) and refuses what separates or controls.
fn unescape_unreserved(raw: &str) -> Result<String, BadPath> {
    let mut out = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    // The lead byte of an overlong two-byte encoding of an ASCII character was just seen.
    let mut overlong = false;
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'#' | b'?' | b'"' | b'<' | b'>' | b'^' | b'`') {
                return Err(BadPath::Character);
            }
            out.push(char::from(byte));
            overlong = false;
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(BadPath::Escape);
        };
        let decoded = high * 16 + low;
        if decoded < 0x20 || matches!(decoded, b'/' | b'\\' | 0x7f) || (overlong && (0x80..0xc0).contains(&decoded)) {
            return Err(BadPath::EncodedSeparator);
        }
        overlong = matches!(decoded, 0xc0 | 0xc1);
        if decoded.is_ascii_alphanumeric() || matches!(decoded, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(decoded));
        } else {
            out.push_str(&format!("%{decoded:02X}"));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> Result<String, BadPath> {
        CanonicalPath::parse(raw).map(|p| p.0)
    }

    #[test]
    fn a_path_has_one_form() {
        for (raw, form) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("//admin", "/admin"),
            ("/app//admin", "/app/admin"),
            ("/./admin", "/admin"),
            ("/admin/", "/admin/"),
            ("/app/../admin", "/admin"),
            ("/app/%2e%2e/admin", "/admin"),
            ("/app/.%2E/admin", "/admin"),
            ("/../../etc", "/etc"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/%61dmin", "/admin"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/latin%e9", "/latin%E9"),
            ("/secret%23/public", "/secret%23/public"),
            ("/a%3fb", "/a%3Fb"),
            ("/a%25b", "/a%25b"),
            ("/a;x=1/b", "/a;x=1/b"),
            ("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(form), "`{raw}`");
        }
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused() {
        for (raw, why) in [
            ("", BadPath::NotAbsolute),
            ("*", BadPath::NotAbsolute),
            ("a/b", BadPath::NotAbsolute),
            ("/a\\b", BadPath::Character),
            ("/a#b", BadPath::Character),
            ("/a b", BadPath::Character),
            ("/a\u{e9}", BadPath::Character),
            ("/a\0", BadPath::Character),
            ("/a%", BadPath::Escape),
            ("/a%2", BadPath::Escape),
            ("/a%zz", BadPath::Escape),
            ("/a%+1", BadPath::Escape),
            ("/app/..%2fadmin", BadPath::EncodedSeparator),
            ("/app/..%5Cadmin", BadPath::EncodedSeparator),
            ("/admin%00", BadPath::EncodedSeparator),
            ("/admin%0a", BadPath::EncodedSeparator),
            ("/admin%7f", BadPath::EncodedSeparator),
            ("/%c0%ae%c0%ae/admin", BadPath::EncodedSeparator),
            ("/app/..;/admin", BadPath::DotParameter),
            ("/app/.;x/admin", BadPath::DotParameter),
            ("/app/%2e%2e;/admin", BadPath::DotParameter),
        ] {
            assert_eq!(canonical(raw), Err(why), "`{raw}`");
        }
    }

    #[test]
    fn the_form_of_a_form_is_itself() {
        // Seeded: every byte pattern that a fuzzer finds interesting in a path.
        let pieces = ["/", "a", "A", ".", "..", "%2e", "%41", "%c3%a9", ";x", "%25", "//", "%3f", "-", "é", "%2f", "%"];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut raw = String::from("/");
            for _ in 0..8 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                raw.push_str(pieces[usize::try_from(seed % pieces.len() as u64).expect("small")]);
            }
            if let Ok(form) = canonical(&raw) {
                assert_eq!(canonical(&form).as_ref(), Ok(&form), "`{raw}`");
                assert!(!form.contains("//") && !form.contains("/../") && !form.contains("/./"), "`{raw}` → `{form}`");
            }
        }
    }

    #[test]
    fn prefixes_match_whole_segments() {
        let admin = Prefix::parse("/admin").expect("prefix");
        for (path, exact, loose) in [
            ("/admin", true, true),
            ("/admin/", true, true),
            ("/admin/x", true, true),
            ("/administrator", false, false),
            ("/ADMIN", false, true),
            ("/admin;a=b", false, true),
            ("/admin;a=b/x", false, true),
            ("/x/admin", false, false),
        ] {
            let path = CanonicalPath::parse(path).expect("path");
            assert_eq!((path.is_below(&admin), path.may_be_below(&admin)), (exact, loose), "`{path}`");
        }
        let root = Prefix::parse("/").expect("prefix");
        assert!(CanonicalPath::parse("/x").expect("path").is_below(&root));
        for bad in ["admin", "/a/../b", "/a//b", "/a*", "/a;b", "/%61"] {
            assert_eq!(Prefix::parse(bad), None, "`{bad}`");
        }
    }
}
