//! Where the frames of a WebSocket end (RFC 6455 §5.2), seen from what the app sends.

/// Where in a frame the connection stands. Nothing is kept of what passes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// In a head of HTTP, 101 or another before it: how much has passed, whether it can still be 101, and how much of
    /// the empty line.
    Head { passed: usize, switching: bool, end: usize },
    /// Between two frames.
    Between,
    /// After the first byte of a frame.
    Begun,
    /// In a length of several bytes: how many are missing, what the others say, and the length of the mask.
    Length { missing: u8, length: u64, mask: u64 },
    /// In the rest of a frame, with so much to come.
    Rest(u64),
}

/// How the head begins after which there are frames.
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";
const EMPTY_LINE: &[u8] = b"\r\n\r\n";

impl Frames {
    /// Before the head that makes a WebSocket of the connection.
    pub(super) const BEFORE: Self = Self::Head { passed: 0, switching: true, end: 0 };

    /// True if whoever sends next begins a frame.
    pub(super) fn at_boundary(self) -> bool {
        self == Self::Between
    }

    /// The app's next bytes have passed.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = rest;
            *self = match *self {
                Self::Rest(left) => {
                    // The byte in hand, and as many of the others as belong to this frame.
                    let others = usize::try_from(left - 1).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(others..).unwrap_or_default();
                    rest_of(left - 1 - others as u64)
                }
                other => other.after(byte),
            };
        }
    }

    fn after(self, byte: u8) -> Self {
        match self {
            Self::Head { passed, switching, end } => {
                let switching = switching && SWITCHING.get(passed).is_none_or(|wanted| *wanted == byte);
                let end = match EMPTY_LINE.get(end) {
                    Some(wanted) if *wanted == byte => end + 1,
                    _ => usize::from(byte == b'\r'),
                };
                match (end == EMPTY_LINE.len(), switching) {
                    (false, _) => Self::Head { passed: passed.saturating_add(1), switching, end },
                    (true, true) => Self::Between,
                    (true, false) => Self::BEFORE,
                }
            }
            Self::Between => Self::Begun,
            Self::Begun => {
                let mask = if byte & 0x80 == 0 { 0 } else { 4 };
                match byte & 0x7f {
                    126 => Self::Length { missing: 2, length: 0, mask },
                    127 => Self::Length { missing: 8, length: 0, mask },
                    length => rest_of(u64::from(length) + mask),
                }
            }
            Self::Length { missing, length, mask } => {
                let length = length << 8 | u64::from(byte);
                if missing > 1 {
                    Self::Length { missing: missing - 1, length, mask }
                } else {
                    rest_of(length.saturating_add(mask))
                }
            }
            Self::Rest(left) => rest_of(left.saturating_sub(1)),
        }
    }
}

/// With so much of a frame to come.
/// Whether the same bytes lead to the same place however they are cut, for the fuzz targets.
#[doc(hidden)]
pub fn passes_alike(bytes: &[u8]) -> bool {
    let (mut whole, mut cut) = (Frames::BEFORE, Frames::BEFORE);
    whole.pass(bytes);
    bytes.iter().for_each(|byte| cut.pass(std::slice::from_ref(byte)));
    whole == cut
}

const fn rest_of(left: u64) -> Frames {
    if left == 0 { Frames::Between } else { Frames::Rest(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(mask | u8::try_from(length).expect("short")),
            126..65_536 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).expect("short").to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.resize(frame.len() + length + if masked { 4 } else { 0 }, 0x0d);
        frame
    }

    #[test]
    fn a_boundary_is_where_a_frame_has_ended_and_nowhere_else() {
        for (length, masked) in [(0, false), (1, false), (125, true), (126, false), (300, true), (70_000, false)] {
            let one = frame(length, masked);
            // Byte by byte, and in pieces that begin and end anywhere.
            for size in [1, 2, 7, 4_096, usize::MAX] {
                let mut frames = Frames::BEFORE;
                frames.pass(HEAD);
                for _ in 0..2 {
                    assert!(frames.at_boundary(), "{length} {masked} {size}");
                    let (last, before) = one.split_last().expect("a frame");
                    for piece in before.chunks(size) {
                        frames.pass(piece);
                        assert!(!frames.at_boundary(), "{length} {masked} {size}: half a frame");
                    }
                    frames.pass(&[*last]);
                }
                assert!(frames.at_boundary());
            }
        }
    }

    #[test]
    fn there_are_no_frames_before_the_whole_head_has_passed() {
        let mut frames = Frames::BEFORE;
        for byte in [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".as_slice(), HEAD].concat() {
            assert!(!frames.at_boundary());
            frames.pass(&[byte]);
        }
        assert!(frames.at_boundary());
        let mut other = Frames::BEFORE;
        other.pass(b"HTTP/1.1 200 OK\r\n\r\n\x82\x00");
        assert!(!other.at_boundary());
    }
}
