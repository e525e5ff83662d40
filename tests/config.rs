//! The sample config that is shipped loads as it stands, from a disk that has the files it names.
#![expect(clippy::expect_used, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::apps::Access;
use portcullis::config::Config;
use portcullis::idp::ProveBy;
use portcullis::policy::{Rules, Widest};

const SAMPLE: &str = include_str!("../conf/portcullis.toml");

/// The sample in a directory of its own, with everything that it names; gone when dropped.
struct Installed {
    directory: PathBuf,
}

impl Installed {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("portcullis-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).expect("directory");
        let installed = Self { directory };
        let key = portcullis::seal::generate_key().expect("key");
        installed.write("ring-1.key", key.expose());
        for name in ["admin.token", "corp.secret", "corp.push"] {
            installed.write(name, "0123456789abcdef0123456789abcdef\n");
        }
        let here = installed.directory.to_str().expect("plain path");
        installed
            .write("portcullis.toml", &SAMPLE.replace("/etc/portcullis", here).replace("/var/lib/portcullis", here));
        installed
    }

    fn write(&self, name: &str, text: &str) {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(self.directory.join(name));
        std::io::Write::write_all(&mut file.expect("file"), text.as_bytes()).expect("written");
    }

    fn load(&self) -> Result<Config, String> {
        Config::load(&self.directory.join("portcullis.toml")).map_err(|faults| faults.to_string())
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.directory));
    }
}

#[test]
fn the_sample_loads_and_says_what_its_comments_say() {
    let installed = Installed::new("loads");
    let config = installed.load().unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.session.max_age, Duration::from_secs(12 * 3600));
    assert_eq!(config.ledger.path, installed.directory.join("ledger.db"));
    let corp = config.idps.get("corp").expect("corp");
    assert_eq!((corp.prove_by, corp.claims.tenant.as_str()), (ProveBy::AuthTime, "tenant"));
    let stream = config.streams.get("corp").expect("stream");
    assert_eq!((stream.widest, &stream.rules), (Widest::User, &Rules::default()));
    let wiki = config.apps.named("wiki").expect("wiki");
    assert_eq!(wiki.rules.iter().map(|rule| rule.access).collect::<Vec<_>>(), [Access::Public, Access::Login]);
}

#[test]
fn the_values_in_the_sample_are_the_defaults_that_it_claims() {
    let installed = Installed::new("defaults");
    let with = installed.load().unwrap_or_else(|faults| panic!("{faults}"));
    // Everything that has a default, left out.
    let optional = [
        "trusted_proxies",
        "timeouts",
        "max_header",
        "max_exchanges",
        "listen = \"127",
        "max_age",
        "idle",
        "to =",
        "level",
        "connect_timeout",
        "timeout =",
        "scopes",
        "prove_by",
        "widest",
        "delivery",
        "preset",
        "users_per_minute",
        "access =",
        "headers",
        "max_body",
    ];
    let path = installed.directory.join("portcullis.toml");
    let text = fs::read_to_string(&path).expect("text");
    let short: String = text
        .lines()
        .filter(|line| !optional.iter().any(|key| line.starts_with(key)))
        .map(|line| {
            format!("{line}\n").replace(
                "http2 = false, connect_timeout = \"5s\", read_timeout = \"never\", keep_alive = \"4s\", pool = true, ",
                "",
            )
        })
        .collect();
    assert!(short.len() < text.len() - 500, "something was left out");
    let without = Config::parse(&short, &path, &portcullis::config::Disk).unwrap_or_else(|faults| panic!("{faults}"));
    // Everything but the secrets and keys, which say nothing in `Debug`.
    assert_eq!(format!("{:?}", with.server), format!("{:?}", without.server));
    assert_eq!(format!("{:?}", with.admin), format!("{:?}", without.admin));
    assert_eq!(with.session, without.session);
    assert_eq!((with.audit, with.log, with.outbound), (without.audit, without.log, without.outbound));
    assert_eq!(format!("{:?}", with.idps), format!("{:?}", without.idps));
    assert_eq!(format!("{:?}", with.streams), format!("{:?}", without.streams));
    assert_eq!(with.apps.named("wiki"), without.apps.named("wiki"));
}

#[test]
fn the_file_to_begin_with_for_each_product_loads_and_has_its_preset() {
    for (name, text) in [
        ("okta", include_str!("../conf/presets/okta.toml")),
        ("keycloak", include_str!("../conf/presets/keycloak.toml")),
        ("authentik", include_str!("../conf/presets/authentik.toml")),
        ("google-risc", include_str!("../conf/presets/google-risc.toml")),
        ("caep-dev", include_str!("../conf/presets/caep-dev.toml")),
    ] {
        let installed = Installed::new(&format!("preset-{name}"));
        let here = installed.directory.to_str().expect("plain path");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(file) =
                line.split_once("_file = \"/etc/portcullis/").and_then(|(_, file)| file.strip_suffix('"'))
            {
                installed.write(file, "0123456789abcdef0123456789abcdef\n");
            }
        }
        installed.write("portcullis.toml", &text.replace("/etc/portcullis", here).replace("/var/lib/portcullis", here));
        let config = installed.load().unwrap_or_else(|faults| panic!("{name}: {faults}"));
        let presets: Vec<_> = config.streams.values().map(|stream| stream.preset.word()).collect();
        assert_eq!(presets, [name]);
    }
}

#[test]
fn a_secret_that_others_may_read_stops_the_start() {
    let installed = Installed::new("exposed");
    for mode in [0o604, 0o644, 0o660] {
        let path = installed.directory.join("corp.secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        let faults = installed.load().expect_err("a fault");
        assert!(faults.contains("chmod 600"), "{mode:o}: {faults}");
        assert_eq!(faults.lines().count(), 1, "{mode:o}: {faults}");
    }
}

#[test]
fn a_directory_in_place_of_a_secret_is_a_fault() {
    let installed = Installed::new("directory");
    let path: &Path = &installed.directory.join("corp.push");
    fs::remove_file(path).expect("removed");
    fs::create_dir(path).expect("directory");
    let faults = installed.load().expect_err("a fault");
    assert!(faults.contains("it is not a file"), "{faults}");
}

/// Every `` `name` `` in the documents that looks like a test's.
fn named_tests(text: &str) -> Vec<&str> {
    let looks = |word: &&str| {
        word.matches('_').count() >= 4
            && !word.starts_with("portcullis_")
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.split('`').skip(1).step_by(2).filter(looks).collect()
}

fn sources(directory: &Path, out: &mut String) {
    for entry in fs::read_dir(directory).expect("directory") {
        let path = entry.expect("entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "node_modules" && name != "corpus") {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push_str(&fs::read_to_string(&path).expect("source"));
        }
    }
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    sources(&root.join("src"), &mut code);
    sources(&root.join("tests"), &mut code);
    let mut named = 0;
    for entry in fs::read_dir(root.join("deploy/docs")).expect("documents") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("document");
        for test in named_tests(&text) {
            named += 1;
            assert!(code.contains(&format!("fn {test}(")), "{} names `{test}`, which is nowhere", path.display());
        }
    }
    assert!(named > 30, "the documents name {named} tests");
}
