//! In which language somebody reads.

/// Characters of `Accept-Language` that are read: browsers send fewer than 100.
const MAX_TEXT: usize = 1_000;
/// Languages of it that are looked at.
const MAX_RANGES: usize = 32;

/// A language that pages are written in.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Japanese.
    Japanese,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::English, Self::German, Self::French, Self::Spanish, Self::Japanese];

    /// Its tag (RFC 5646), for `lang` and `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Japanese => "ja",
        }
    }

    /// In which direction it is written, for `dir`.
    pub const fn direction(self) -> &'static str {
        match self {
            Self::English | Self::German | Self::French | Self::Spanish | Self::Japanese => "ltr",
        }
    }
}

/// What somebody says they read (RFC 9110 §12.5.4), the dearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// Primary subtags in lower case, or `*`, each once. INVARIANT: at most [`MAX_RANGES`].
    ranges: Vec<String>,
}

impl Reader {
    /// Reads `Accept-Language`. What is malformed in it is passed over.
    pub fn of(accept_language: &str) -> Self {
        let text: String = accept_language.chars().take(MAX_TEXT).collect();
        let mut weighed: Vec<(u16, String)> = text.split(',').take(MAX_RANGES).filter_map(range).collect();
        // Stable: of two as dear the first comes first.
        weighed.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let mut ranges: Vec<String> = Vec::new();
        for (weight, tag) in weighed {
            if weight > 0 && !ranges.contains(&tag) {
                ranges.push(tag);
            }
        }
        Self { ranges }
    }

    /// The best of `offered`, by its tag; `None` if there is none that they read.
    pub fn best<'a, T>(&self, offered: impl Iterator<Item = (&'a str, T)>) -> Option<T> {
        let mut best = None;
        for (tag, item) in offered {
            let Some(rank) = self.ranges.iter().position(|range| *range == primary(tag)) else { continue };
            if best.as_ref().is_none_or(|(before, _)| rank < *before) {
                best = Some((rank, item));
            }
        }
        best.map(|(_, item)| item)
    }

    /// The language for them, where `otherwise` is for who reads none of ours.
    pub fn language(&self, otherwise: Language) -> Language {
        self.best(Language::ALL.into_iter().map(|language| (language.tag(), language))).unwrap_or(otherwise)
    }
}

/// `de-AT;q=0.8` as a weight in thousandths and `de`.
fn range(text: &str) -> Option<(u16, String)> {
    let mut parts = text.split(';').map(str::trim);
    let tag = parts.next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '*');
    if tag.is_empty() || !tag.chars().all(plain) {
        return None;
    }
    let weight = match parts.next() {
        None => 1_000,
        Some(parameter) => weight(parameter.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim())?,
    };
    Some((weight, primary(tag)))
}

/// A quality value (RFC 9110 §12.4.2) in thousandths.
fn weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

/// The language without its country or script, in lower case.
fn primary(tag: &str) -> String {
    tag.split('-').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_the_dearest_language_that_there_is() {
        use Language::{English, French, German, Japanese, Spanish};
        for (accept, expected) in [
            ("", English),
            ("de", German),
            ("de-AT", German),
            ("DE-at", German),
            ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", French),
            ("it, es;q=0.5, en;q=0.4", Spanish),
            ("en;q=0.1, ja;q=0.9", Japanese),
            ("en;q=0, de;q=0.001", German),
            ("it, pt", English),
            ("*", English),
            ("de;q=2, fr", French),
            ("de;q=0.12345, fr;q=0.1", French),
            ("de;q=-1, fr;q=0.1", French),
            ("de;level=1, fr;q=0.1", French),
            ("de ; q = 0.9, fr;q=0.8", German),
            (",,;q=1,;;,fr", French),
            ("de\u{301}, es", Spanish),
        ] {
            assert_eq!(Reader::of(accept).language(English), expected, "`{accept}`");
        }
        assert_eq!(Reader::of("it").language(German), German, "what the config says");
    }

    #[test]
    fn what_is_read_has_a_bound() {
        let far = format!("{}de", "x,".repeat(MAX_RANGES));
        assert_eq!(Reader::of(&far).language(Language::English), Language::English);
        let long = format!("{};q=1,de", "x".repeat(100_000));
        assert_eq!(Reader::of(&long), Reader { ranges: vec!["x".repeat(MAX_TEXT)] });
    }

    #[test]
    fn no_text_is_too_odd_to_read() {
        for seed in 0_u32..2_000 {
            let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
            let odd: String = (0..seed % 60)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    [',', ';', 'q', '=', '0', '1', '.', '-', '*', 'd', 'e', ' ', 'é'][(state % 13) as usize]
                })
                .collect();
            assert!(Reader::of(&odd).ranges.len() <= MAX_RANGES, "`{odd}`");
        }
    }
}
