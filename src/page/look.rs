//! How pages look like the organisation's own: its name, logo, colour and a line on whom to ask.

use std::fmt::Write as _;

use url::Url;

use super::language::Language;

/// The style sheet of every page, in our own colour.
const STYLE: &str = include_str!("style.css");
/// Bytes of a logo: it is fetched with the first page that a person sees.
const MAX_LOGO: usize = 128 * 1024;
/// The least contrast of text (WCAG 2.2, 1.4.3).
const ENOUGH: f64 = 4.5;
/// The card and the ink on buttons in the dark, as the style sheet has them.
const DARK_CARD: Colour = Colour([0x15, 0x1d, 0x29]);
const DARK_INK: Colour = Colour([0x0b, 0x16, 0x26]);
const WHITE: Colour = Colour([0xff; 3]);
const BLACK: Colour = Colour([0; 3]);

/// How pages look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whose they are, below each page.
    pub name: Option<String>,
    /// What stands above the heading instead of our own mark.
    pub logo: Option<Logo>,
    /// The colour of buttons and links.
    pub colour: Option<Colour>,
    /// Whom to ask, below each page.
    pub contact: Option<Contact>,
    /// The language for who reads none of ours.
    pub language: Language,
    /// Whoever's session was ended for a reason that is meant for them sees it before they are sent to sign in.
    pub says_why: bool,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// What it says.
    pub text: String,
    /// Where it leads: https, mailto or tel.
    pub url: Option<Url>,
}

/// A picture that is shown as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// Its media type.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

/// A colour. What can be built by [`Colour::parse`] is legible.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// Why something does not do for a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLook {
    /// Not `#rrggbb`.
    #[error("it is no colour; write `#1f5fd6`")]
    NoColour,
    /// White on it cannot be read.
    #[error("white on it cannot be read (contrast {contrast}, {ENOUGH} is needed); `{darker}` is dark enough")]
    TooLight {
        /// What it has.
        contrast: String,
        /// The same, dark enough.
        darker: String,
    },
    /// None of the types that a browser shows without asking further.
    #[error("it is no PNG, JPEG, WebP or SVG picture")]
    NoPicture,
    /// Larger than it may be.
    #[error("it has {0} bytes, and 131072 are the most; make it smaller")]
    TooLarge(usize),
}

impl Logo {
    /// Takes a file whose content is one of the types that browsers show, whatever its name says.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidLook> {
        if bytes.len() > MAX_LOGO {
            return Err(InvalidLook::TooLarge(bytes.len()));
        }
        let is_svg = || {
            let text = std::str::from_utf8(bytes).unwrap_or_default().trim_start_matches('\u{feff}').trim_start();
            text.starts_with("<svg")
                || ((text.starts_with("<?xml") || text.starts_with("<!--")) && text.contains("<svg"))
        };
        let media_type = match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
            _ if is_svg() => "image/svg+xml",
            _ => return Err(InvalidLook::NoPicture),
        };
        Ok(Self { media_type, bytes: bytes.to_vec() })
    }
}

impl Colour {
    /// Reads `#rrggbb`, on which white can be read.
    pub fn parse(text: &str) -> Result<Self, InvalidLook> {
        let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(InvalidLook::NoColour)?;
        let [_, red, green, blue] = number.to_be_bytes();
        let colour = Self([red, green, blue]);
        let contrast = colour.contrast(WHITE);
        if contrast < ENOUGH {
            let darker = colour.towards(BLACK, |darker| darker.contrast(WHITE) >= ENOUGH).to_string();
            return Err(InvalidLook::TooLight { contrast: format!("{contrast:.1}"), darker });
        }
        Ok(colour)
    }

    /// How light it is to the eye (WCAG 2.2, relative luminance).
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// So many hundredths of the way to `other`.
    fn mixed(self, other: Self, hundredths: u16) -> Self {
        let [r, g, b] = self.0;
        let [to_r, to_g, to_b] = other.0;
        let part = |from: u8, to: u8| {
            let sum = u16::from(from) * (100 - hundredths.min(100)) + u16::from(to) * hundredths.min(100);
            u8::try_from(sum / 100).unwrap_or(u8::MAX)
        };
        Self([part(r, to_r), part(g, to_g), part(b, to_b)])
    }

    /// The first on the way to `other` that will do.
    fn towards(self, other: Self, will_do: impl Fn(Self) -> bool) -> Self {
        (0..=100).map(|hundredths| self.mixed(other, hundredths)).find(|colour| will_do(*colour)).unwrap_or(other)
    }

    /// As it is shown on a dark page: as text on the card, and below dark ink.
    fn in_the_dark(self) -> Self {
        self.towards(WHITE, |lighter| lighter.contrast(DARK_CARD) >= ENOUGH && lighter.contrast(DARK_INK) >= ENOUGH)
    }

    /// The glow at the head of the page.
    fn glow(self, opacity: &str) -> String {
        let [r, g, b] = self.0;
        format!("rgba({r}, {g}, {b}, {opacity})")
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

impl Look {
    /// The style sheet.
    pub fn style(&self) -> String {
        let mut style = STYLE.to_owned();
        let Some(light) = self.colour else { return style };
        let (deep, dark) = (light.mixed(BLACK, 22), light.in_the_dark());
        let paler = dark.mixed(WHITE, 30);
        let (glow, dark_glow) = (light.glow(".10"), dark.glow(".12"));
        // Writing to a `String` cannot fail.
        let _infallible = writeln!(
            style,
            ":root {{ --accent: {light}; --on-accent: #ffffff; --accent-deep: {deep}; --glow: {glow}; }}\n\
             @media (prefers-color-scheme: dark) {{ :root {{ --accent: {dark}; --on-accent: {DARK_INK}; \
             --accent-deep: {paler}; --glow: {dark_glow}; }} }}"
        );
        style
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_taken_if_white_can_be_read_on_it() {
        for (text, expected) in [
            ("#1f5fd6", Ok("#1f5fd6")),
            ("#000000", Ok("#000000")),
            ("#B00020", Ok("#b00020")),
            ("#777777", Err("white on it cannot be read (contrast 4.5, 4.5 is needed); `#757575` is dark enough")),
            ("#ffcc00", Err("white on it cannot be read (contrast 1.5, 4.5 is needed); `#8e7200` is dark enough")),
            ("#fff", Err("it is no colour; write `#1f5fd6`")),
            ("red", Err("it is no colour; write `#1f5fd6`")),
            ("#12345g", Err("it is no colour; write `#1f5fd6`")),
            ("#+12345", Err("it is no colour; write `#1f5fd6`")),
        ] {
            let read = Colour::parse(text).map(|colour| colour.to_string()).map_err(|invalid| invalid.to_string());
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "`{text}`");
        }
    }

    #[test]
    fn every_colour_that_is_taken_can_be_read_by_day_and_by_night() {
        for step in 0_u32..4_096 {
            let part = |shift: u32| u8::try_from((step >> shift & 15) * 17).expect("a byte");
            let Ok(colour) = Colour::parse(&Colour([part(8), part(4), part(0)]).to_string()) else { continue };
            let (deep, dark) = (colour.mixed(BLACK, 22), colour.in_the_dark());
            let paler = dark.mixed(WHITE, 30);
            for (on, what) in [(colour, "a button"), (deep, "a button under the mouse")] {
                assert!(on.contrast(WHITE) >= ENOUGH, "{colour}: {what}");
            }
            assert!(dark.contrast(DARK_CARD) >= ENOUGH, "{colour}: a link in the dark");
            for on in [dark, paler] {
                assert!(on.contrast(DARK_INK) >= ENOUGH, "{colour}: a button in the dark");
            }
        }
    }

    #[test]
    fn a_logo_is_what_it_holds_and_not_what_it_is_called() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Ok("image/png")),
            (b"\xff\xd8\xff\xe0", Ok("image/jpeg")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Ok("image/webp")),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Ok("image/svg+xml")),
            (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", Ok("image/svg+xml")),
            (b"<html><svg/></html>", Err(InvalidLook::NoPicture)),
            (b"GIF89a", Err(InvalidLook::NoPicture)),
            (b"", Err(InvalidLook::NoPicture)),
            (b"\xff\xfe", Err(InvalidLook::NoPicture)),
        ] {
            assert_eq!(Logo::parse(bytes).map(|logo| logo.media_type), expected, "{bytes:?}");
        }
        assert_eq!(Logo::parse(&[0; MAX_LOGO + 1]), Err(InvalidLook::TooLarge(MAX_LOGO + 1)));
    }

    #[test]
    fn the_style_sheet_loads_nothing_and_has_the_colour_in_it() {
        let plain = Look::default().style();
        assert_eq!(plain, STYLE);
        let own = Look { colour: Colour::parse("#b00020").ok(), ..Look::default() }.style();
        assert!(own.starts_with(STYLE) && own.contains("--accent: #b00020;"), "{own}");
        for style in [plain, own] {
            assert!(!style.contains("url(") && !style.contains("@import"));
        }
    }
}
