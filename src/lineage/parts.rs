//! A sealed value that is larger than a cookie may be, in several cookies.
//!
//! The first keeps the app's name; the others stand beside it as `NAME.pcl2`, `NAME.pcl3`…, under the same attributes, so
//! that a browser keeps, sends and forgets them together. Each says which one it is, of how many, and of which seal, so
//! that cookies of one name under several paths do not mix. None of that is believed: what was put together wrongly does
//! not open.

use std::ops::Range;

use super::MARK;

/// Cookies of one value, at the most. What apps can set without a gateway needs three, whatever its lineage.
pub(super) const MAX_PARTS: usize = 4;
/// Bytes of name, value and attributes that every browser keeps: RFC 6265 §6.1 asks for 4096, Safari stops a little short
/// of it. A larger cookie would vanish without a word.
const MAX_COOKIE: usize = 4093;
/// Behind the mark: this is a part. No seal has that letter.
const PART: char = '~';
/// Between the name of the first cookie and the number of a further one.
const SUFFIX: &str = ".pcl";
/// The letters of a seal that tell it from others: they are of its nonce.
const ID: Range<usize> = 8..16;
/// What a part has more than its share of the seal: the mark, `~`, two numbers, the id, three dots.
const FRAME: usize = MARK.len() + 1 + 2 + (ID.end - ID.start) + 3;

/// What goes out for the value `sealed` (with its mark) of the cookie `name`: one `Set-Cookie` field, or one for each
/// part. `None` if it is too large for [`MAX_PARTS`].
pub(super) fn split(name: &str, sealed: &str, attributes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let room = MAX_COOKIE.checked_sub(name.len() + "=".len() + attributes.len())?;
    let field =
        |name: &str, frame: &str, text: &[u8]| [name.as_bytes(), b"=", frame.as_bytes(), text, attributes].concat();
    if sealed.len() <= room {
        return Some(vec![field(name, "", sealed.as_bytes())]);
    }
    let room = room.checked_sub(FRAME + SUFFIX.len() + 1).filter(|room| *room > 0)?;
    let sealed = sealed.strip_prefix(MARK)?;
    let id = sealed.get(ID)?;
    let count = sealed.len().div_ceil(room);
    let part = |(text, number): (&[u8], usize)| {
        field(&name_of(name, number), &format!("{MARK}{PART}{number}.{count}.{id}."), text)
    };
    (count <= MAX_PARTS).then(|| sealed.as_bytes().chunks(room).zip(1..).map(part).collect())
}

/// The name of that part of the cookie `name`.
pub(super) fn name_of(name: &str, number: usize) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}{SUFFIX}{number}") }
}

/// True if `part` is the name of that part of the cookie `name`.
fn is_name_of(part: &str, name: &str, number: usize) -> bool {
    match part.strip_prefix(name) {
        Some("") => number == 1,
        Some(rest) => number > 1 && rest.strip_prefix(SUFFIX).and_then(digit) == Some(number),
        None => false,
    }
}

/// True if `part` is the name of any further part of the cookie `name`.
pub(super) fn is_further(part: &str, name: &str) -> bool {
    (2..=MAX_PARTS).any(|number| is_name_of(part, name, number))
}

/// What a cookie with our mark is.
pub(super) enum Found {
    /// A seal, whole.
    Whole,
    /// The first part of one. Here is the whole, with the mark, and where in the request its parts are.
    First(String, Vec<usize>),
    /// The first part of one that is not all there, or is there twice; or nothing that we ever made.
    Broken,
    /// A part that is for the first to ask for.
    Further,
}

/// Says what the cookie at `at` is, of those of a request.
pub(super) fn find(cookies: &[(&str, &str)], at: usize) -> Found {
    let Some((name, value)) = cookies.get(at) else { return Found::Broken };
    if !value.strip_prefix(MARK).is_some_and(|sealed| sealed.starts_with(PART)) {
        return Found::Whole;
    }
    match Part::read(value) {
        None => Found::Broken,
        Some(part) if part.number > 1 => Found::Further,
        Some(first) => first.whole(name, cookies).map_or(Found::Broken, |(text, places)| Found::First(text, places)),
    }
}

/// The value of one cookie of several.
struct Part<'a> {
    number: usize,
    count: usize,
    id: &'a str,
    text: &'a str,
}

impl<'a> Part<'a> {
    fn read(value: &'a str) -> Option<Self> {
        let mut fields = value.strip_prefix(MARK)?.strip_prefix(PART)?.splitn(4, '.');
        let (number, count) = (digit(fields.next()?)?, digit(fields.next()?)?);
        let (id, text) = (fields.next()?, fields.next()?);
        (number <= count && count > 1).then_some(Self { number, count, id, text })
    }

    /// The seal that this is the first part of, and where its parts are. Each must be there once.
    fn whole(&self, name: &str, cookies: &[(&str, &str)]) -> Option<(String, Vec<usize>)> {
        let (mut text, mut places) = (String::from(MARK), Vec::with_capacity(self.count));
        for number in 1..=self.count {
            let mut these = cookies.iter().enumerate().filter_map(|(at, (part, value))| {
                let part = is_name_of(part, name, number).then(|| Part::read(value)).flatten()?;
                (part.number == number && part.count == self.count && part.id == self.id).then_some((at, part.text))
            });
            let (at, share) = these.next().filter(|_| these.next().is_none())?;
            text.push_str(share);
            places.push(at);
        }
        Some((text, places))
    }
}

/// The number of a part.
fn digit(text: &str) -> Option<usize> {
    match text.as_bytes() {
        [digit @ b'1'..=b'9'] => Some(usize::from(digit - b'0')).filter(|number| *number <= MAX_PARTS),
        _ => None,
    }
}
