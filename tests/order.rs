//! The house keeps its order: each module uses only those above it in `src/lib.rs`, the lower floors decide and do not
//! act, each engine's crate stands behind one door, no file grows past what a reader can hold.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test is loud when it is wrong")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A module as `src/lib.rs` declares it.
#[derive(Debug)]
struct Module {
    name: String,
    floor: u32,
}

/// A source file of the library.
#[derive(Debug)]
struct Source {
    /// The module that it belongs to.
    module: String,
    path: PathBuf,
    /// Everything above the tests, as written.
    upper: String,
    /// The same without comments and the contents of strings.
    code: String,
    /// The whole file without comments and the contents of strings.
    whole: String,
}

/// Words that only the upper floors may use: what waits, what runs, and by what the network, the disk and the log are
/// reached.
const ACTING: [&str; 13] = [
    "async",
    "await",
    "tokio",
    "pingora",
    "async_trait",
    "reqwest",
    "rusqlite",
    "tracing",
    "fs",
    "thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
];
/// Words by which a clock is read.
const CLOCKS: [&str; 4] = ["SystemTime", "Instant", "Clock", "Stopwatch"];
/// The one reader of the clocks.
const CLOCK_MODULE: &str = "time";
/// Crates that only these modules may name.
const DOORS: [(&str, &[&str]); 5] = [
    ("jsonwebtoken", &["jose"]),
    ("rusqlite", &["ledger"]),
    ("async_nats", &["fleet"]),
    ("tokio_postgres", &["fleet"]),
    ("pingora", &["proxy", "app"]),
];
/// Lines above the tests that a file may have.
const LONGEST_FILE: usize = 400;

#[test]
fn every_file_belongs_to_a_declared_module() {
    let known: BTreeSet<_> = sources().into_iter().map(|s| s.path).collect();
    let mut all = Vec::new();
    below(&root(), &mut all);
    let roots = [root().join("lib.rs"), root().join("main.rs")];
    let strays: Vec<_> = all
        .iter()
        .filter(|path| !known.contains(*path) && !roots.contains(path))
        .map(|path| path.display().to_string())
        .collect();
    assert_none(&strays, "files that no line of src/lib.rs declares");
    assert!(modules().len() > 20, "src/lib.rs was not understood: {:?}", modules());
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let modules = modules();
    let mut faults = Vec::new();
    for source in sources() {
        for used in out_of_order(&modules, &source) {
            faults.push(format!("{} uses `crate::{used}`", source.path.display()));
        }
        // Steps upward would reach a sibling module without naming `crate`.
        let depth = source.path.strip_prefix(root()).expect("below src").components().count();
        if source.code.contains(&"super::".repeat(depth)) {
            faults.push(format!("{} climbs to the root with `super`: say `crate`", source.path.display()));
        }
    }
    assert_none(&faults, "a module may use only those that src/lib.rs declares above it");
}

#[test]
fn floors_0_and_1_decide_and_do_not_act() {
    let modules = modules();
    let is_low = |s: &&Source| modules.iter().any(|m| m.name == s.module && m.floor <= 1);
    let mut faults = Vec::new();
    for source in sources().iter().filter(is_low) {
        let clocks = CLOCKS.into_iter().filter(|_| source.module != CLOCK_MODULE);
        let named = words(&source.code);
        for word in ACTING.into_iter().chain(clocks).filter(|word| named.contains(word)) {
            faults.push(format!("{} names `{word}`", source.path.display()));
        }
    }
    assert_none(&faults, "floors 0 and 1 take `now` as an argument and know no engine");
}

#[test]
fn each_engine_stands_behind_its_own_door() {
    let mut faults = Vec::new();
    for source in sources() {
        for (engine, modules) in DOORS {
            let named = words(&source.whole).iter().any(|w| *w == engine || w.starts_with(&format!("{engine}_")));
            if named && !modules.contains(&source.module.as_str()) {
                faults.push(format!("{} names `{engine}`, which belongs to {modules:?}", source.path.display()));
            }
        }
    }
    assert_none(&faults, "an engine's types stay behind its door");
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let faults: Vec<_> = sources()
        .iter()
        .map(|s| (s.upper.lines().count(), s.path.display()))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{path} has {lines} lines above its tests"))
        .collect();
    assert_none(&faults, &format!("a file has at most {LONGEST_FILE} lines above its tests"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn modules() -> Vec<Module> {
    declared(&std::fs::read_to_string(root().join("lib.rs")).expect("src/lib.rs"))
}

fn declared(lib: &str) -> Vec<Module> {
    let mut floor = None;
    let mut modules = Vec::new();
    for line in lib.lines() {
        if let Some(rest) = line.strip_prefix("// floor ") {
            let number = rest.split(':').next().and_then(|n| n.trim().parse().ok());
            floor = Some(number.unwrap_or_else(|| panic!("`{line}` names no floor")));
        } else if let Some(name) =
            line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")).and_then(|l| l.strip_suffix(';'))
        {
            let floor = floor.unwrap_or_else(|| panic!("module `{name}` stands on no floor"));
            modules.push(Module { name: name.to_owned(), floor });
        }
    }
    modules
}

/// Every file of the library: `src/x.rs` and all below `src/x/` belong to module `x`.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for module in modules() {
        let mut files = vec![root().join(format!("{}.rs", module.name))];
        below(&root().join(&module.name), &mut files);
        sources.extend(files.into_iter().map(|path| source(&module.name, path)));
    }
    sources
}

fn below(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.map(|entry| entry.expect("listed").path()) {
        if path.is_dir() {
            below(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn source(module: &str, path: PathBuf) -> Source {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    // A file of tests has nothing above them.
    let is_tests = path.file_stem().is_some_and(|stem| stem == "tests");
    let upper = if is_tests { String::new() } else { above_tests(&text).to_owned() };
    Source { module: module.to_owned(), path, code: bare(&upper), whole: bare(&text), upper }
}

/// A file up to its tests, which stand last. Attributes may stand between the two lines that begin them.
fn above_tests(text: &str) -> &str {
    let begins = |after: &str| after.lines().find(|l| !l.starts_with("#[")).is_some_and(|l| l.contains("mod tests"));
    text.match_indices("\n#[cfg(test)]\n")
        .map(|(at, matched)| (text.split_at(at).0, text.split_at(at + matched.len()).1))
        .find(|(_, after)| begins(after))
        .map_or(text, |(upper, _)| upper)
}

/// `text` without comments, and with every string and character literal emptied.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let mut at = 0;
    while at < chars.len() {
        let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut depth = 0;
            loop {
                if starts(at, "/*") {
                    (depth, at) = (depth + 1, at + 2);
                } else if starts(at, "*/") {
                    (depth, at) = (depth - 1, at + 2);
                } else {
                    at += 1;
                }
                if depth == 0 || at >= chars.len() {
                    break;
                }
            }
        } else if let Some(hashes) = raw_string(&chars, at).filter(|_| !in_word) {
            let end = format!("\"{}", "#".repeat(hashes));
            at += chars[at..].iter().position(|c| *c == '"').expect("an opening quote") + 1;
            while at < chars.len() && !starts(at, &end) {
                at += 1;
            }
            at += end.len();
            out.push_str("\"\"");
        } else if chars[at] == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
            out.push_str("\"\"");
        } else if starts(at, "'\\") {
            // Past the escaped character itself, which may be the quote.
            at += 3;
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else if chars[at] == '\'' && chars.get(at + 2) == Some(&'\'') {
            at += 3;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// The number of `#` of a raw string that begins at `at`.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let mut rest = chars[at..].iter().copied().peekable();
    rest.next_if_eq(&'b');
    rest.next_if_eq(&'r')?;
    let mut hashes = 0;
    while rest.next_if_eq(&'#').is_some() {
        hashes += 1;
    }
    rest.next_if_eq(&'"').map(|_| hashes)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words of code: identifiers and keywords.
fn words(code: &str) -> BTreeSet<&str> {
    code.split(|c| !is_word(c)).filter(|w| !w.is_empty()).collect()
}

/// The modules that code reaches through `crate::…`, alone or in a group.
fn uses(code: &str) -> BTreeSet<String> {
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ").replace(":: ", "::").replace(" ::", "::");
    let parts: Vec<&str> = code.split("crate::").collect();
    parts
        .windows(2)
        .filter(|pair| !pair[0].ends_with(is_word))
        .flat_map(|pair| match pair[1].strip_prefix('{') {
            Some(group) => members(group),
            None => vec![first_word(pair[1])],
        })
        .collect()
}

/// The first word of each member of a group whose opening brace was read.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut begins) = (0, true);
    let mut found = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && is_word(c) => {
                found.push(first_word(group.split_at(at).1));
                begins = false;
            }
            _ => {}
        }
    }
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| is_word(*c)).collect()
}

/// What `source` uses although it stands below it, or on none of the floors.
fn out_of_order(modules: &[Module], source: &Source) -> Vec<String> {
    let position = |name: &str| modules.iter().position(|m| m.name == name);
    let own = position(&source.module);
    let wrong = |used: &String| *used != source.module && (position(used).is_none() || position(used) >= own);
    uses(&source.code).into_iter().filter(wrong).collect()
}

fn assert_none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

// The readers above, on texts of which the answer is known.

#[test]
fn comments_and_strings_are_no_code() {
    for (text, expected) in [
        ("a // crate::b\nc", "a \nc"),
        ("/// [`crate::b`]\nfn c()", "\nfn c()"),
        ("a /* x /* y */ z */ b", "a  b"),
        (r#"let a = "crate::b // \" \\"; c"#, r#"let a = ""; c"#),
        (r###"let a = r#"tokio " x"#; c"###, r#"let a = ""; c"#),
        (r"let a = '\''; let b = '/'; let c: &'static str", "let a = ; let b = ; let c: &'static str"),
        (r#"let a = '"'; tokio"#, "let a = ; tokio"),
        ("her\"a\"", "her\"\""),
    ] {
        assert_eq!(bare(text), expected, "`{text}`");
    }
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    for (code, expected) in [
        ("use crate::a;", vec!["a"]),
        ("use crate::a::{b, c};", vec!["a"]),
        ("use crate::{a, b::{c, d}, e as f};", vec!["a", "b", "e"]),
        ("use crate::{\n    a::{b},\n    c,\n};\nuse crate::d;", vec!["a", "c", "d"]),
        ("let x: crate::a::B = crate::c::d();", vec!["a", "c"]),
        ("pub(crate) fn a() {}", vec![]),
        ("use crate :: a;", vec!["a"]),
        ("othercrate::a", vec![]),
    ] {
        assert_eq!(uses(code).into_iter().collect::<Vec<_>>(), expected, "`{code}`");
    }
}

#[test]
fn a_use_of_a_lower_line_is_a_fault() {
    let modules = declared("// floor 0: words\npub mod a;\npub mod b;\n// floor 2: engines\nmod c;\n");
    assert_eq!(modules.iter().map(|m| m.floor).collect::<Vec<_>>(), [0, 0, 2]);
    for (code, expected) in [
        ("use crate::a;", vec![]),
        ("use crate::b::x;", vec![]),
        ("use crate::c;", vec!["c"]),
        ("use crate::{a, nowhere};", vec!["nowhere"]),
    ] {
        let (upper, whole) = (code.to_owned(), code.to_owned());
        let source = Source { module: "b".into(), path: "b.rs".into(), code: code.to_owned(), upper, whole };
        assert_eq!(out_of_order(&modules, &source), expected, "`{code}`");
    }
}

#[test]
fn only_what_stands_above_the_tests_is_measured() {
    for tests in ["mod tests {\n}", "pub(crate) mod tests {", "mod tests;", "#[allow(x)]\nmod tests {\n}"] {
        assert_eq!(above_tests(&format!("a\n#[cfg(test)]\n{tests}")), "a", "`{tests}`");
    }
    let helper = "a\n#[cfg(test)]\nfn helper() {}\nb";
    assert_eq!(above_tests(helper), helper);
}
