//! The command line, from the words typed to the exit code.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::sync::Arc;

use clap::CommandFactory as _;

use super::operator::{Reply, revoked};
use super::*;
use crate::admin::StreamStatus;
use crate::admin::tests::{Scripted, TOKEN, gateway};
use crate::secret::Secret;
use crate::time::Timestamp;

/// A directory of one test; gone when dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("directory");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.expect("file").write_all(text.as_bytes()).expect("written");
        path.to_str().expect("plain path").to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn typed(words: &[&str]) -> Result<Outcome, clap::Error> {
    Cli::try_parse_from(["portcullis"].iter().chain(words)).map(|cli| execute(cli.command))
}

/// Serves the admin listener of `gateway` for as long as the test runs.
fn serve(gateway: &Arc<Scripted>) -> SocketAddr {
    let clock = crate::time::Clock::System;
    let router = crate::admin::router(Arc::<Scripted>::clone(gateway), Secret::new(TOKEN.to_owned()), clock);
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listener");
    let address = listener.local_addr().expect("address");
    listener.set_nonblocking(true).expect("non-blocking");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).expect("listener"), router).await
        })
    });
    address
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn what_makes_no_sense_is_refused_as_it_was_typed() {
    for words in [
        &["revoke"][..],
        &["revoke", "--everyone", "--user", "ann"],
        &["revoke", "--user", "ann", "--mode", "held"],
        &["lift"],
        &["lift", "--user", "ann", "--mode", "hold"],
        &["revoke", "--user", "ann", "--admin", "http://127.0.0.1:1"],
        &["revoke", "--user", "ann", "--token-file", "t"],
        &["revoke", "--user", "ann", "-c", "p.toml", "--admin", "http://127.0.0.1:1", "--token-file", "t"],
        &["explain", "GET"],
        &["explain", "GET", "https://a.example", "--claim", "x"],
        &["explain", "GET", "https://a.example", "--email", "x"],
        &["demo", "--port", "99999"],
        &["stop"],
        &[],
    ] {
        let error = typed(words).expect_err("a usage error");
        assert!(error.use_stderr(), "{words:?}");
    }
    assert!(!Cli::try_parse_from(["portcullis", "--help"]).expect_err("help").use_stderr());
    let help = Cli::command().render_long_help().to_string();
    for code in
        [Exit::Done, Exit::Failed, Exit::Usage, Exit::Unreachable, Exit::TryAgain, Exit::Transmitter, Exit::Config]
    {
        assert!(help.contains(&format!("{:>4}  ", code as u8)), "{code:?} is not in the help");
    }
}

#[test]
fn a_revocation_reaches_the_running_gateway_even_if_the_rest_of_its_config_is_broken() {
    let (place, gateway) = (Place::new("revoke"), gateway(true, true));
    let address = serve(&gateway);
    let config = place.file(
        "portcullis.toml",
        &format!("[admin]\nlisten = \"{address}\"\ntoken = \"{TOKEN}\"\n[apps.wiki]\nurl = 7\n[sesion]\n"),
    );
    let outcome =
        typed(&["revoke", "-c", &config, "--user", "ann", "--device", "d", "--app", "wiki", "--reason", "left"]);
    let outcome = outcome.expect("a command");
    assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
    for part in ["user ann", "wiki", "terminate", "3 exchanges cut", "durable    yes"] {
        assert!(outcome.says.contains(part), "`{part}` is not in\n{}", outcome.says);
    }
    let asked = gateway.asked.lock().expect("lock");
    let [request] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((request.whom.user.as_deref(), request.whom.device.as_deref()), (Some("ann"), Some("d")));
    assert_eq!((request.reason.as_deref(), request.dry_run), (Some("left"), false));
}

#[test]
fn the_exit_code_says_what_became_of_it() {
    let place = Place::new("exit");
    let (good, forgetful) = (serve(&gateway(true, true)), serve(&gateway(false, true)));
    let (token, wrong) = (place.file("token", TOKEN), place.file("wrong", "another-token-than-that"));
    let open = place.file("open", TOKEN);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("permissions");
    // Nobody listens on a port that was just given back.
    let gone = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("address");
    let at = |address: SocketAddr| format!("http://{address}");
    for (name, admin, token, words, expected) in [
        ("done", at(good), &token, &["revoke", "--user", "ann"][..], Exit::Done),
        ("a dry run", at(good), &token, &["revoke", "--user", "ann", "--dry-run"], Exit::Done),
        ("in JSON", at(good), &token, &["revoke", "--user", "ann", "--json"], Exit::Done),
        ("the status", at(good), &token, &["status"], Exit::Done),
        ("the status in JSON", at(good), &token, &["status", "--json"], Exit::Done),
        ("not durable", at(forgetful), &token, &["revoke", "--user", "ann"], Exit::TryAgain),
        ("who is on hold", at(good), &token, &["holds"], Exit::Done),
        ("a lifting", at(good), &token, &["lift", "--user", "ann"], Exit::Done),
        ("a lifting that is not durable", at(forgetful), &token, &["lift", "--user", "ann"], Exit::TryAgain),
        ("what awaits approval", at(good), &token, &["approvals"], Exit::Done),
        ("an approval of all", at(good), &token, &["approve", "--all"], Exit::Done),
        ("an approval of nothing that waits", at(good), &token, &["approve", "0a"], Exit::Usage),
        ("another token", at(good), &wrong, &["revoke", "--user", "ann"], Exit::Config),
        ("another token for the status", at(good), &wrong, &["status"], Exit::Config),
        ("a token that others may read", at(good), &open, &["revoke", "--user", "ann"], Exit::Config),
        ("nobody there", at(gone), &token, &["revoke", "--user", "ann"], Exit::Unreachable),
        ("another machine", "http://gateway.example:9090".into(), &token, &["status"], Exit::Usage),
        ("another scheme", "https://127.0.0.1:9090".into(), &token, &["status"], Exit::Usage),
    ] {
        let words: Vec<&str> = words.iter().copied().chain(["--admin", &admin, "--token-file", token]).collect();
        let outcome = typed(&words).expect("a command");
        assert_eq!(outcome.exit, expected, "{name}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains(TOKEN), "{name}");
    }
}

/// In force, and not durable.
const ONLY_HERE: &str = r#"{"revocations":[],"cut":0,"met":{"people":0,"sessions":0,"exchanges":0,"apps":[]},"dry_run":false,"durable":false}"#;

#[test]
fn a_dry_run_says_in_a_table_whom_it_would_meet() {
    let answer = serde_json::json!({
        "revocations": [{
            "issuer": "https://idp.example.com", "whom": "group staff", "apps": [], "mode": "hold", "cut_off": 1_795_463_999,
        }],
        "cut": 4,
        "met": { "people": 1, "sessions": 2, "exchanges": 4, "apps": [
            { "app": "mail", "people": 1, "sessions": 1, "exchanges": { "request": 1 } },
            { "app": "wiki", "people": 1, "sessions": 2, "exchanges": { "download": 1, "websocket": 2 } },
        ] },
        "dry_run": true,
        "durable": false,
    });
    let outcome = revoked(&Reply { status: 200, body: answer.to_string().into() }, false);
    assert_eq!(outcome.exit, Exit::Done);
    let expected = "\
would revoke  group staff, of https://idp.example.com
in            every app
mode          hold
cut-off       2026-11-23T19:59:59Z; nobody gets in until it is lifted
in flight     4 exchanges would be cut
of            1 person, 2 sessions

app   people  sessions  in flight
mail  1       1         1 request
wiki  1       2         1 download, 2 websockets

Sessions are stored nowhere: who is signed in and has nothing in flight is met as well.
";
    assert_eq!(outcome.says, expected, "{}", outcome.says);
}

#[test]
fn a_refusal_says_what_to_do() {
    let body = r#"{"error":"there is no IdP `x`","field":"idp","remedy":"write another"}"#;
    let outcome = revoked(&Reply { status: 422, body: body.into() }, false);
    assert_eq!(outcome.complains, "the gateway refuses: there is no IdP `x`; write another");
}

#[test]
fn an_answer_that_is_not_understood_is_not_done() {
    for (status, body, expected) in [
        (200, "", Exit::Unreachable),
        (200, "<html>", Exit::Unreachable),
        (200, "{}", Exit::Unreachable),
        (500, "", Exit::Unreachable),
        (503, r#"{"error":"starting"}"#, Exit::Unreachable),
        (422, r#"{"error":"there is no IdP `x`"}"#, Exit::Usage),
        (200, ONLY_HERE, Exit::TryAgain),
    ] {
        let outcome = revoked(&Reply { status, body: body.into() }, false);
        assert_eq!(outcome.exit, expected, "{status} {body}: {outcome:?}");
    }
}

#[test]
fn an_explanation_says_what_each_kind_of_sender_gets() {
    let config = crate::config::tests::good();
    let explain = |words: &[&str]| {
        let words = ["portcullis", "explain"].iter().chain(words);
        let Command::Explain(asked) = Cli::try_parse_from(words).expect("a command").command else { panic!("explain") };
        explain::explain(&config, &asked).says
    };
    for (words, expected) in [
        (
            &["GET", "https://wiki.example.com/x"][..],
            &[
                "app     wiki",
                "blind   while the stream corp is dark: everybody goes through corp again",
                "asks for a login and group staff; department it",
                "in a browser: to the sign-in at corp",
                "by a script: 401 `login_required`",
            ][..],
        ),
        (&["POST", "https://wiki.example.com/x"], &["in a browser: to the sign-in", "by a script: 401"]),
        (
            &["GET", "https://wiki.example.com/healthz?q"],
            &["rule    /healthz: everybody", "nobody  forwarded, with nobody's name"],
        ),
        (&["GET", "https://wiki.example.com:8443/a/%2e%2e/healthz"], &["path    /healthz  (its one form"]),
        (&["GET", "https://wiki.example.com/HEALTHZ"], &["/healthz (in a loose reading)", "by a script: 401"]),
        (&["GET", "https://wiki.example.com/a%2fb"], &["refused: the path has an encoded separator"]),
        (&["GET", "https://wiki.example.com/oauth2/callback"], &["the gateway's own endpoint"]),
        (
            &["GET", "https://other.example.com/"],
            &["nobody's", "https://mail.example.com/webmail, https://wiki.example.com"],
        ),
        (&["GET", "https://wiki.example.com", "--group", "staff"], &["person  403 `not_allowed`"]),
        (
            &["GET", "https://wiki.example.com", "--group", "staff", "--claim", "department=it"],
            &["person  forwarded, with the person's name"],
        ),
        (
            &["GET", "https://mail.example.com/webmail", "--email", "a@b.c"],
            &["person  forwarded, with the person's name"],
        ),
    ] {
        let said = explain(words);
        for part in expected {
            assert!(said.contains(part), "{words:?}: `{part}` is not in\n{said}");
        }
    }
}

#[test]
fn an_explanation_says_where_tokens_are_asked_for_and_made() {
    let with = "access = \"bearer\"\nbearer = { audience = \"api\" }\n\
                derived = [{ path = \"/t\", response = [\"/a~1b\", \"?code\"], request = \"refresh_token\" }]\n\
                logout_paths = [\"POST /bye?now=1\"]\n\
                allow = { groups = [\"staff\"] }\n";
    let config = crate::config::tests::good_with_rules_of_wiki(with);
    let explain = |words: &[&str]| {
        let words = ["portcullis", "explain"].iter().chain(words);
        let Command::Explain(asked) = Cli::try_parse_from(words).expect("a command").command else { panic!("explain") };
        explain::explain(&config, &asked).says
    };
    let said = explain(&["POST", "https://wiki.example.com/t", "--group", "staff"]);
    for part in [
        "asks for a token and group staff",
        "tokens  sealed in the answer: `/a~1b`, `?code`",
        "tokens  opened in the request: `refresh_token`",
        "nobody  401 `token_required`",
        "token   forwarded, with the person's name",
    ] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
    for (method, url, leaves) in [
        ("POST", "https://wiki.example.com/bye?x&now=1#top", true),
        ("GET", "https://wiki.example.com/bye?now=1", false),
        ("POST", "https://wiki.example.com/bye", false),
    ] {
        let said = explain(&[method, url]);
        assert_eq!(said.contains("the session here ends, too"), leaves, "{method} {url}:\n{said}");
    }
}

#[test]
fn a_cookie_is_opened_with_the_ring_of_the_config() {
    let (config, place) = (crate::config::tests::good(), Place::new("cookie"));
    let now = crate::time::Clock::System.now();
    let identity = crate::identity::Identity {
        issuer: crate::identity::Issuer::parse("https://idp.example.com").expect("issuer"),
        subject: "ann".into(),
        sid: None,
        email: Email::parse("ann@corp.example"),
        phone: None,
        preferred_username: None,
        groups: vec!["staff".into()],
        tenant: None,
        device: None,
        asserted_at: now,
        auth_time: None,
        session_expiry: None,
    };
    let claims = vec![("department".to_owned(), "it".to_owned())];
    let id = crate::session::SessionId([7; 16]);
    let session = crate::session::Session::begin(id, "corp", &identity, claims, &config.keys, now);
    let cookies = session.seal(&config.keys, "wiki.example.com").expect("sealed");
    let header = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
    for (name, header, expected) in [
        ("good", format!("Cookie: a=b; {header}\n"), &["a session of ann@corp.example", "cookie  forwarded"][..]),
        (
            "cut short",
            header.get(..header.len() - 2).unwrap_or_default().to_owned(),
            &["it holds no usable session", "by a script: 401"],
        ),
        ("another", "a=b".to_owned(), &["it holds no session", "by a script: 401"]),
    ] {
        let file = place.file("cookies", &header);
        let words = ["portcullis", "explain", "GET", "https://wiki.example.com/", "--cookie-file", &file];
        let Command::Explain(asked) = Cli::try_parse_from(words).expect("a command").command else { panic!("explain") };
        let said = explain::explain(&config, &asked).says;
        for part in expected {
            assert!(said.contains(part), "{name}: `{part}` is not in\n{said}");
        }
    }
}

#[test]
fn a_summary_names_what_was_understood() {
    let said = check::summary(&crate::config::tests::good());
    for part in [
        "ok: 2 apps, 2 IdPs, 1 stream\n",
        "sessions  8h at most, 30m idle\n",
        "wiki  https://wiki.example.com          corp",
        "mail  https://mail.example.com/webmail  partners  who signs in",
        "wiki     /healthz  everybody\n",
        "https://10.0.0.7:443",
        "push  corp        group   terminate\n",
    ] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
}

#[test]
fn a_status_says_how_each_stream_is_heard() {
    let stream = |name: &str, polled, last_poll: Option<u64>, trouble: Option<&str>| StreamStatus {
        name: name.into(),
        issuer: "https://i".into(),
        polled,
        last_poll_at: last_poll.map(Timestamp::from_secs),
        poll_trouble: trouble.map(str::to_owned),
        ..StreamStatus::default()
    };
    let streams = vec![
        stream("a", false, None, None),
        stream("b", true, Some(1_795_463_999), None),
        stream("c", true, None, Some("the transmitter answers 500")),
        StreamStatus {
            state: "blind".into(),
            since: Timestamp::from_secs(1_795_463_999),
            last_sign_at: Some(Timestamp::from_secs(1_795_463_000)),
            lag: Some(2),
            trouble: Some("the transmitter cannot be reached".into()),
            leader: Some("gw-2".into()),
            ..stream("d", false, None, None)
        },
    ];
    let said = operator::shown(&crate::admin::Status { streams: streams.clone(), ..crate::admin::Status::default() });
    for part in [
        "\na       https://i  pushed                never       0         0\n",
        "\nb       https://i  2026-11-23T19:59:59Z  never       0         0\n",
        "\nc       https://i  never                 never       0         0\n",
        "\nstream c: the transmitter answers 500\n",
        "\nd       blind  2026-11-23T19:59:59Z  2026-11-23T19:43:20Z  2 s\n",
        "\nstream d: the transmitter cannot be reached\n",
    ] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
    assert!(!said.contains("led by"), "one that is alone leads");
    let fleet = Some(crate::admin::FleetStatus::default());
    let said = operator::shown(&crate::admin::Status { streams, fleet, ..crate::admin::Status::default() });
    assert!(said.contains("\na       nobody can tell\n") && said.contains("\nd       gw-2\n"), "{said}");
}

#[test]
fn a_stream_is_looked_after_by_one_word() {
    let (place, gateway) = (Place::new("stream"), gateway(true, true));
    let address = serve(&gateway);
    let config = place.file("portcullis.toml", &format!("[admin]\nlisten = \"{address}\"\ntoken = \"{TOKEN}\"\n"));
    for (words, exit, part) in [
        (&["show", "corp"][..], Exit::Done, "state   live, since"),
        (&["create", "corp"], Exit::Done, "done    made, just now"),
        (&["pause", "corp"], Exit::Done, "sends nothing until `portcullis stream resume`"),
        (&["resume", "corp"], Exit::Done, "sends again"),
        (&["delete", "corp"], Exit::Done, "not made again until"),
        (&["delete", "corp", "--json"], Exit::Done, "\"name\":\"corp\""),
        (&["verify", "corp"], Exit::Transmitter, "none came in 20 s: its events do not reach us"),
        (&["verify", "by-hand"], Exit::Usage, "write `manage` in [streams.by-hand]"),
        (&["show", "crop"], Exit::Usage, "there is no stream `crop`"),
        (&["show", "a/../b"], Exit::Usage, "is no name of a stream"),
    ] {
        let outcome = typed(&[&["stream"], words, &["-c", &config]].concat()).expect("a command");
        assert_eq!(outcome.exit, exit, "{words:?}: {outcome:?}");
        let said = if exit == Exit::Done { &outcome.says } else { &outcome.complains };
        assert!(said.contains(part), "{words:?}: `{part}` is not in\n{said}");
    }
    assert!(typed(&["stream", "dance", "corp"]).is_err() && typed(&["stream", "show"]).is_err());
}

#[test]
fn a_stream_at_its_transmitter_is_shown_in_a_few_lines() {
    let answer = crate::admin::StreamAnswer {
        name: "corp".into(),
        issuer: "https://idp.example.com".into(),
        delivery: "poll".into(),
        state: "live".into(),
        since: Timestamp::from_secs(1_795_463_999),
        transmitter: Some(crate::admin::StreamThere {
            stream_id: "f67e39a0".into(),
            status: Some("enabled".into()),
            endpoint: "https://idp.example.com/poll".into(),
            events: vec!["urn:a".into(), "urn:b".into()],
            min_verification_interval: Some(60),
            inactivity_timeout: None,
        }),
        leader: Some("gw-2".into()),
        anew: false,
        verified_after: Some(340),
    };
    let body = serde_json::to_vec(&answer).expect("JSON");
    let outcome = stream::answered(&Reply { status: 200, body }, Some(crate::admin::StreamDeed::Verify), false);
    let expected = "\
stream     corp, poll, of https://idp.example.com
done       its event arrived 0.3 s after it was asked for
state      live, since 2026-11-23T19:59:59Z
led by     gw-2
there      f67e39a0, enabled
polled at  https://idp.example.com/poll
can send   urn:a, urn:b
verify     every 60 s at the most
";
    assert_eq!(outcome.says, expected);
}

#[test]
fn faults_end_with_their_number_and_with_exit_code_78() {
    let place = Place::new("faults");
    let config = place.file("portcullis.toml", "[apps.wiki]\nurl = 7\n");
    let outcome = typed(&["check", "-c", &config]).expect("a command");
    assert_eq!(outcome.exit, Exit::Config);
    assert!(outcome.complains.ends_with(" faults"), "{}", outcome.complains);
}

#[test]
fn a_new_key_is_for_its_owner_only_and_never_written_over_another() {
    let place = Place::new("keygen");
    let path = place.0.join("ring-1.key");
    let text = path.to_str().expect("plain path");
    assert_eq!(typed(&["keygen", text]).expect("a command").exit, Exit::Done);
    let key = fs::read_to_string(&path).expect("key");
    assert!(crate::seal::KeyRing::parse([key.as_str()]).expect("a key").is_some());
    assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
    let again = typed(&["keygen", text]).expect("a command");
    assert_eq!(again.exit, Exit::Failed);
    assert!(!again.says.contains("portcullis-key"), "{again:?}");
    assert_eq!(fs::read_to_string(&path).expect("key"), key);
    let printed = typed(&["keygen"]).expect("a command");
    assert!(crate::seal::KeyRing::parse([printed.says.as_str()]).expect("a key").is_some());
}

#[test]
fn who_is_on_hold_and_what_awaits_approval_stands_in_a_table() {
    let hold = crate::admin::Hold {
        issuer: "https://i".into(),
        whom: "user ann".into(),
        apps: vec![],
        since: Timestamp::from_secs(1_795_463_999),
        source: "operator".into(),
        reason: Some("left".into()),
    };
    let said = holds::shown(&[hold]);
    assert!(said.contains("\nuser ann  https://i  every app  2026-11-23T19:59:59Z  operator  left\n"), "{said}");
    assert_eq!(holds::shown(&[]), "nobody is on hold\n");
    let id = |n: u128| crate::revocation::RevocationId(n << 96);
    let waiting = crate::admin::Waiting {
        id: id(0x0a1b_2c3d),
        revocation: crate::admin::Made {
            issuer: "https://i".into(),
            whom: "user ann".into(),
            apps: vec!["wiki".into()],
            mode: Mode::Terminate,
            cut_off: Timestamp::from_secs(1),
            outcome: None,
        },
        source: "stream".into(),
        stream: Some("corp".into()),
        idp: None,
        jti: Some("j".into()),
        reason: None,
        received_at: Timestamp::from_secs(1_795_463_999),
    };
    let said = approvals::shown(&[waiting]);
    for part in ["1 revocation NOT in force", "\n0a1b2c3d0000  user ann  wiki  terminate  stream corp  2026-11-23T"] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
    let known = [id(0x0a1b_2c3d), id(0x0a1c_2c3d)];
    assert_eq!(approvals::named("0a1b", &known).ok(), Some(known[0]));
    for (typed, word) in [("0a1", "several"), ("ff", "nothing"), ("", "nothing")] {
        let refused = approvals::named(typed, &known).expect_err("not one");
        assert!(refused.exit == Exit::Usage && refused.complains.contains(word), "`{typed}`: {refused:?}");
    }
}
