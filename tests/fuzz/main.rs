//! Every parser that faces the network against its corpus, and against some seconds of random bytes: a first look, in
//! `cargo test`. `tests/fuzz/run` looks for longer, guided by coverage.

#![expect(clippy::expect_used, clippy::panic, reason = "a test is loud when it is wrong")]

mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use self::targets::TARGETS;

/// Inputs per parser besides the corpus.
const ROUNDS: usize = 1_500;

/// xorshift64*: the same numbers at every run from the same seed.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).expect("small")
    }
}

/// What a parser is shown, said only if it panics at that.
struct Shown<'a>(&'a str, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{} was shown {:?}", self.0, self.1.escape_ascii().to_string());
        }
    }
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|why| panic!("{}: {why}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

/// A change of one of `seeds`, or of two of them put together.
fn mutation(seeds: &[(PathBuf, Vec<u8>)], random: &mut Xorshift) -> Vec<u8> {
    let pick = |random: &mut Xorshift| seeds.get(random.below(seeds.len())).map(|(_, seed)| seed.clone());
    let mut bytes = pick(random).unwrap_or_default();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 => bytes.insert(at, u8::try_from(random.below(256)).expect("a byte")),
            1 => bytes.truncate(at),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            4 => bytes.splice(at..at, pick(random).unwrap_or_default()).for_each(drop),
            5 => {
                const WORDS: [&[u8]; 12] =
                    [b"..", b"%2e", b"//", b"\\", b"\"", b"{", b"[", b"\\u0000", b"=", b";", b"&", "\u{e9}".as_bytes()];
                let word = WORDS.get(random.below(WORDS.len())).copied().unwrap_or_default();
                bytes.splice(at..at, word.iter().copied()).for_each(drop);
            }
            _ => {
                let end = (at + random.below(16)).min(bytes.len());
                let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                let times = random.below(20);
                bytes.splice(at..at, piece.repeat(times)).for_each(drop);
            }
        }
    }
    bytes
}

#[test]
fn no_parser_panics_at_what_it_was_shown_before() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "the corpus of `{name}` is empty");
        for (_, bytes) in &corpus {
            let shown = Shown(name, bytes);
            target(shown.1);
        }
    }
}

#[test]
fn no_parser_panics_at_random_bytes() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    println!("seed {seed:#x}");
    let mut random = Xorshift(seed);
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        for _ in 0..ROUNDS {
            let bytes = mutation(&corpus, &mut random);
            let shown = Shown(name, &bytes);
            target(shown.1);
        }
    }
}
