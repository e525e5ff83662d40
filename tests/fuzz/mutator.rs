//! Inputs that are almost right: what parsers were broken by is rarely pure chance.

/// SplitMix64: every seed gives its own sequence, the same on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).expect("small")
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }
}

/// Pieces that mean something to somebody.
const PIECES: [&str; 64] = [
    ".",
    "..",
    "/",
    "//",
    "\\",
    "%",
    "%00",
    "%2e",
    "%2f",
    "%5c",
    "%25",
    "%c0%af",
    "%zz",
    "?",
    "#",
    "&",
    "=",
    ";",
    ",",
    "@",
    ":",
    "*",
    " ",
    "\t",
    "\r\n",
    "\0",
    "\u{7f}",
    "\u{ff0e}",
    "\u{2028}",
    "\u{1f511}",
    "\u{feff}",
    "\"",
    "'",
    "\\u0000",
    "\\ud800",
    "\\u005f",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "1e-999",
    "18446744073709551616",
    "-9223372036854775809",
    "0.1",
    "NaN",
    "\"\"",
    "{\"a\":1,\"a\":2}",
    "http://",
    "https://[::1]",
    "xn--",
    "a=b; c=d",
    "Bearer ",
    "e30",
    "pcs1.",
    "__Host-",
    "\"format\":\"complex\"",
    "\"sub_id\":",
];

/// The longest input that is tried; the gateway's own bounds for what it reads are below or at it.
const LONGEST: usize = 80 * 1024;

/// Something made of the inputs of `pool`.
pub(crate) fn input(dice: &mut Dice, pool: &[Vec<u8>]) -> Vec<u8> {
    if dice.below(32) == 0 {
        return (0..dice.below(200)).map(|_| dice.byte()).collect();
    }
    let mut bytes = dice.pick(pool).clone();
    for _ in 0..=dice.below(5) {
        change(dice, &mut bytes, pool);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(dice: &mut Dice, bytes: &mut Vec<u8>, pool: &[Vec<u8>]) {
    let at = dice.below(bytes.len() + 1);
    let length = dice.below(bytes.len() - at.min(bytes.len()) + 1).min(64);
    let end = (at + length).min(bytes.len());
    match dice.below(12) {
        0 | 1 => drop(bytes.splice(at..at, dice.pick(&PIECES).bytes())),
        2 | 3 => drop(bytes.splice(at..end, dice.pick(&PIECES).bytes())),
        4 => drop(bytes.drain(at..end)),
        5 => bytes.truncate(at),
        6 => {
            // A piece of it, again; now and then very often.
            let piece = bytes[at..end].to_vec();
            let times = if dice.below(16) == 0 { 2_000 } else { 1 + dice.below(4) };
            drop(bytes.splice(at..at, piece.repeat(times)));
        }
        7 => {
            // The end of another one.
            let other = dice.pick(pool);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[dice.below(other.len() + 1)..]);
        }
        8 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        9 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.byte();
            }
        }
        // What stands between two quotes, or a number, becomes something else.
        10 => {
            if let Some((from, to)) = text_around(bytes, at) {
                drop(bytes.splice(from..to, dice.pick(&PIECES).bytes()));
            }
        }
        _ => {
            if dice.below(64) == 0 {
                let deep = 1 + dice.below(3_000);
                drop(bytes.splice(at..at, [b"[".repeat(deep), b"]".repeat(deep)].concat()));
            } else {
                bytes.insert(at, *dice.pick(b".\"{}[]&%=,:/\\\0;@+-_ "));
            }
        }
    }
}

/// The value around a place: from quote to quote.
fn text_around(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let from = bytes[..at].iter().rposition(|byte| *byte == b'"')? + 1;
    let to = at + bytes[at..].iter().position(|byte| *byte == b'"')?;
    Some((from, to))
}
