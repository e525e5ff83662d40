//! Every parser that faces the network, against inputs that are almost right: none panics, none takes long, and what is
//! taken has the properties that the rest of the gateway relies on.
//!
//! `cargo test --test fuzz` replays the corpus (`tests/fuzz/corpus/TARGET/`) and goes on for a moment with a new seed,
//! which it prints. Longer, and one target only:
//!
//! ```text
//! PORTCULLIS_FUZZ_SECONDS=300 cargo test --test fuzz -- --nocapture poll_answer
//! ```
//!
//! There is no coverage to guide it. Instead each target says in a word what became of an input, and inputs that come to
//! something new are mutated further; with `PORTCULLIS_FUZZ_KEEP=1` they are written into the corpus.
#![cfg(test)]

mod mutator;
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::time::Stopwatch;

use self::mutator::Dice;

/// How long one input may take, on a machine that is busy with other things: the bounds of the parsers keep all of them
/// well below a tenth of it.
const SLOW: Duration = Duration::from_secs(5);
/// Inputs per target where nothing else is said.
const INPUTS: usize = 3_000;
/// The largest input that is worth a file.
const LARGEST_KEPT: usize = 2 * 1024;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

/// The inputs of `name` that are kept.
fn kept(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(corpus(name)).map_or_else(|_| vec![], |dir| dir.flatten().collect());
    files.sort_by_key(fs::DirEntry::path);
    files.iter().map(|file| fs::read(file.path()).expect("a readable file")).collect()
}

/// What becomes of `input`, if that is said in time and without a panic.
fn try_one(name: &str, input: &[u8], target: &mut dyn FnMut(&[u8]) -> String) -> String {
    let taking = Stopwatch::start();
    let became = panic::catch_unwind(AssertUnwindSafe(|| target(input)));
    let took = taking.elapsed();
    let shown = || input.escape_ascii().to_string();
    let became = became.unwrap_or_else(|_| panic!("{name} does not bear\nb\"{}\"", shown()));
    assert!(took < SLOW, "{name} takes {took:?} for\nb\"{}\"", shown());
    became
}

/// Replays the corpus of `name` and `good` inputs, then goes on by chance.
fn run(name: &str, good: &[&[u8]], mut target: impl FnMut(&[u8]) -> String) {
    let mut pool: Vec<Vec<u8>> = good.iter().map(|input| input.to_vec()).chain(kept(name)).collect();
    let mut seen: BTreeSet<String> = pool.iter().map(|input| try_one(name, input, &mut target)).collect();
    assert!(seen.iter().any(|word| word == "taken"), "{name}: nothing good among the inputs it begins with: {seen:?}");
    let seed = std::hash::RandomState::new().build_hasher().finish();
    println!("{name}: seed {seed}");
    let mut dice = Dice(seed);
    let seconds = std::env::var("PORTCULLIS_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let (running, mut inputs) = (Stopwatch::start(), 0_usize);
    while seconds.map_or(inputs < INPUTS, |seconds| running.elapsed() < Duration::from_secs(seconds)) {
        inputs += 1;
        let input = mutator::input(&mut dice, &pool);
        let word = try_one(name, &input, &mut target);
        if seen.insert(word.clone()) && input.len() <= LARGEST_KEPT {
            if std::env::var_os("PORTCULLIS_FUZZ_KEEP").is_some() {
                let file: String =
                    word.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
                fs::create_dir_all(corpus(name))
                    .and_then(|()| fs::write(corpus(name).join(file), &input))
                    .expect("a file");
            }
            pool.push(input);
        }
    }
    println!("{name}: {inputs} inputs in {:?}, {} ways to end", running.elapsed(), seen.len());
}
