//! What a console must have, and must not.

use super::{GOOD, faults, parse};
use crate::apps::BuiltIn;

/// The good file with a console; `more` are further lines of it.
fn with_console(upstreams: &str, more: &str) -> String {
    format!("{GOOD}\n[apps.ops]\nurl = \"https://ops.example.com\"\nupstreams = {upstreams}\nidp = \"corp\"\n{more}\n")
}

const CONSOLE: &str = "[\"builtin:console\"]";
const ALLOWED: &str = "allow = { groups = [\"operators\"] }\n";

#[test]
fn a_console_is_an_app_without_servers_and_asks_for_a_fresh_sign_in() {
    for (more, secs) in [("", 300), ("fresh_for = \"1m\"", 60), ("when_blind = \"serve\"", 300)] {
        let config = parse(&with_console(CONSOLE, &format!("{ALLOWED}{more}"))).expect("a good config");
        let ops = config.apps.named("ops").expect("ops");
        let fresh_for = std::time::Duration::from_secs(secs);
        assert_eq!((ops.upstreams.len(), ops.built_in), (0, Some(BuiltIn::Console { fresh_for })), "{more}");
    }
}

#[test]
fn what_would_let_others_operate_a_console_is_refused_and_so_is_what_means_nothing_there() {
    for (upstreams, more, key, why) in [
        ("[\"builtin:consol\"]", ALLOWED, "apps.ops.upstreams[0]", "what is built in is \"builtin:console\""),
        ("[\"builtin:console\", \"http://10.0.0.9\"]", ALLOWED, "apps.ops.upstreams[0]", "no server among others"),
        (CONSOLE, "", "apps.ops.upstreams[0]", "say who operates it"),
        (CONSOLE, "allow = { email_domains = [\"example.com\"] }", "apps.ops.allow", "say who operates it"),
        (CONSOLE, "allow = { groups = [\"o\"] }\naccess = \"either\"\nbearer = { audience = \"a\" }", "", ""),
        (
            CONSOLE,
            "allow = { groups = [\"o\"] }\nfresh_for = \"2h\"",
            "apps.ops.fresh_for",
            "between \"1m\" and \"1h\"",
        ),
        (CONSOLE, "allow = { groups = [\"o\"] }\nrealm = \"x\"", "apps.ops.realm", "the console has no use for it"),
        (CONSOLE, "allow = { groups = [\"o\"] }\nlogout_paths = [\"/x\"]", "apps.ops.logout_paths", "no use for it"),
        (
            CONSOLE,
            "allow = { groups = [\"o\"] }\nrules = [{ path = \"/api/\", access = \"public\" }]",
            "apps.ops.rules",
            "no use for it",
        ),
        (
            CONSOLE,
            "allow = { groups = [\"o\"] }\nderived = [{ path = \"/t\", response = \"/t\" }]",
            "apps.ops.derived",
            "no use for it",
        ),
        ("[\"http://10.0.0.9\"]", "fresh_for = \"5m\"", "apps.ops.fresh_for", "only the console"),
    ] {
        let found = faults(&with_console(upstreams, more));
        if key.is_empty() {
            // A token in place of a sign-in is two things that do not go with it.
            assert_eq!(
                found.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(),
                ["apps.ops.access", "apps.ops.bearer"]
            );
            continue;
        }
        let [fault] = found.as_slice() else { panic!("{upstreams} {more}: expected one fault, got {found:#?}") };
        assert!(fault.key == key && fault.why.contains(why), "{more}: {fault:?}");
    }
}

#[test]
fn a_console_shares_its_host_with_no_app_whichever_comes_first() {
    let console = with_console(CONSOLE, ALLOWED);
    let beside = format!(
        "{console}[apps.zoo]\nurl = \"https://ops.example.com/zoo\"\nupstreams = [\"http://10.0.0.9\"]\nidp = \"corp\"\n"
    );
    let behind = console.replace("https://ops.example.com", "https://wiki.example.com");
    let below = console.replace("https://ops.example.com", "https://ops.example.com/console");
    for (text, key, why) in [
        (beside, "apps.zoo.url", "[apps.ops] has the same host; the console needs one of its own"),
        (behind, "apps.ops.url", "[apps.wiki] has the same host"),
        (below, "apps.ops.url", "at `/` of a host of its own"),
    ] {
        let found = faults(&text);
        let [fault] = found.as_slice() else { panic!("expected one fault, got {found:#?}") };
        assert!(fault.key == key && fault.why.contains(why), "{fault:?}");
    }
}
