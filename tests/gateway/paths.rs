//! Which path is meant: what is decided on is what the app receives.

use portcullis::apps::CanonicalPath;

use crate::harness::{Ask, Dice, House, Plan, Wire};

/// Everybody sees `/public`, the security group `/admin`, everybody signed in the rest.
const RULES: &str = r#"
rules = [
    { path = "/public", access = "public" },
    { path = "/admin", allow = { groups = ["security"] } },
]
"#;

async fn house() -> House {
    House::of(Plan::default().app(RULES)).await
}

/// The last path that reached the app, without query.
fn arrived(house: &House) -> Option<String> {
    let target = house.backend.seen().pop()?.target;
    Some(target.split('?').next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn no_spelling_of_a_path_walks_around_a_rule() {
    let house = house().await;
    let ann = house.browser_of("ann").await;
    // Path, and what the app receives when a person comes who is signed in but not in the group; then when nobody is.
    for (path, signed_in, nobody) in [
        ("/", Ok("/"), Err(401)),
        ("/public/x", Ok("/public/x"), Ok("/public/x")),
        ("/public", Ok("/public"), Ok("/public")),
        ("/publicity", Ok("/publicity"), Err(401)),
        ("/PUBLIC/x", Ok("/PUBLIC/x"), Err(401)),
        ("/public;a=b/x", Ok("/public;a=b/x"), Err(401)),
        ("/x?path=/public", Ok("/x"), Err(401)),
        ("/x;/public", Ok("/x;/public"), Err(401)),
        ("/x%23/public", Ok("/x%23/public"), Err(401)),
        // A fragment is no part of a request target: what stands before it is decided on and forwarded.
        ("/x#/public", Ok("/x"), Err(401)),
        ("/admin", Err(403), Err(401)),
        ("/admin/", Err(403), Err(401)),
        ("/ADMIN", Err(403), Err(401)),
        ("/%61dmin", Err(403), Err(401)),
        ("/admin;a=b", Err(403), Err(401)),
        ("/;a=b/admin", Err(403), Err(401)),
        ("/;/admin", Err(403), Err(401)),
        ("//admin", Err(403), Err(401)),
        ("/./admin", Err(403), Err(401)),
        ("/public/../admin", Err(403), Err(401)),
        ("/public/%2e%2e/admin", Err(403), Err(401)),
        ("/public/.%2e/admin", Err(403), Err(401)),
        ("/public//../admin", Err(403), Err(401)),
        ("/public/..%2fadmin", Err(400), Err(400)),
        ("/public/..%2f..%2fadmin", Err(400), Err(400)),
        ("/public/..%5cadmin", Err(400), Err(400)),
        ("/public/..\\admin", Err(400), Err(400)),
        ("/public/..;/admin", Err(400), Err(400)),
        ("/public/%c0%ae%c0%ae/admin", Err(400), Err(400)),
        ("/admin%00", Err(400), Err(400)),
        ("/admin%0a", Err(400), Err(400)),
        ("/admin\\x", Err(400), Err(400)),
        ("/public/%zz", Err(400), Err(400)),
    ] {
        for (who, cookies, expected) in [("ann", ann.cookies(), signed_in), ("nobody", String::new(), nobody)] {
            house.backend.forget();
            let ask = Ask::get(path).with("Accept", "*/*").with("Connection", "close").with("Cookie", &cookies);
            let status = house.asks(&ask).await.status;
            let found = arrived(&house).ok_or(status);
            assert_eq!(found.as_deref().map_err(|status| *status), expected, "{who} asks for `{path}`");
        }
    }
}

/// The loosest reading that an app might have: parameters, escapes and case mean nothing, a backslash separates.
fn loosely(path: &str) -> String {
    let bare: Vec<_> = path.split('/').filter_map(|segment| segment.split(';').next()).collect();
    let bare = bare.join("/");
    let decoded = percent_encoding::percent_decode_str(&bare).decode_utf8_lossy().to_lowercase().replace('\\', "/");
    let mut segments = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn roll_path(dice: &mut Dice) -> Vec<u8> {
    const PIECES: [&[u8]; 44] = [
        b"/",
        b"/",
        b"/",
        b"//",
        b"/./",
        b"/../",
        b"..",
        b".",
        b"%2e",
        b"%2E",
        b"%2e%2e",
        b"%2f",
        b"%2F",
        b"%5c",
        b"\\",
        b";",
        b";a=b",
        b"..;",
        b"public",
        b"public",
        b"admin",
        b"admin",
        b"Admin",
        b"%61dmin",
        b"adm%69n",
        b"a",
        b"b%20c",
        b"%00",
        b"%0d%0a",
        b"%",
        b"%2",
        b"%25",
        b"%252e",
        b"%c0%af",
        b"%c0%ae",
        b"%e2%80%ae",
        b"\xc3\xa9",
        b"\xff",
        b"#",
        b"?q=/admin",
        b"*",
        b"%3b",
        b"%3f",
        b"~",
    ];
    let mut path = match dice.below(20) {
        0 => Vec::new(),
        1 => b"http://localhost".to_vec(),
        2 => b"http://evil.example.com".to_vec(),
        _ => b"/".to_vec(),
    };
    for _ in 0..dice.below(9) {
        path.extend_from_slice(dice.one_of(&PIECES));
    }
    path
}

#[tokio::test]
async fn the_app_receives_one_form_of_a_path_and_it_is_the_one_that_was_decided_on() {
    const CASES: usize = 2_500;
    let house = house().await;
    let ann = house.browser_of("ann").await;
    let mut dice = Dice::new();
    let mut wire = house.wire().await;
    let (mut forwarded, mut refused) = (0, 0);
    for case in 0..CASES {
        let path = roll_path(&mut dice);
        let shown = String::from_utf8_lossy(&path).into_owned();
        let cookies = if case % 3 == 0 { String::new() } else { ann.cookies() };
        house.backend.forget();
        let fields = format!(" HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nCookie: {cookies}\r\n\r\n", house.host());
        wire.send(&[b"GET ", path.as_slice(), fields.as_bytes()].concat()).await;
        let answer = wire.answer().await;
        if answer.as_ref().is_none_or(|a| a.all("connection").any(|value| value.eq_ignore_ascii_case("close"))) {
            wire = house.wire().await;
        }
        let Some(arrived) = arrived(&house) else {
            let status = answer.map(|answer| answer.status);
            assert!(status.is_none_or(|status| (400..500).contains(&status)), "`{shown}` gets {status:?}");
            refused += 1;
            continue;
        };
        forwarded += 1;
        let canonical = CanonicalPath::parse(&arrived).map(|path| path.as_str().to_owned());
        assert_eq!(canonical.as_ref(), Ok(&arrived), "`{shown}` arrives as `{arrived}`");
        let loose = loosely(&arrived);
        assert!(!is_below(&loose, "/admin"), "`{shown}` arrives as `{arrived}`, which an app may read as `{loose}`");
        assert!(
            !cookies.is_empty() || is_below(&loose, "/public"),
            "`{shown}` arrives as `{arrived}` without a session"
        );
        assert!(!loose.starts_with("/oauth2"), "our own paths stay here: `{shown}`");
    }
    assert!(forwarded > CASES / 10 && refused > CASES / 10, "{forwarded} forwarded, {refused} refused: a poor mixture");
}

#[tokio::test]
async fn a_host_is_one_place_however_it_is_written_and_only_one_may_be_named() {
    let house = house().await;
    let ann = house.browser_of("ann").await;
    let port = house.address().port();
    let cookie = format!("Cookie: {}\r\nAccept: */*\r\n", ann.cookies());
    for (line, hosts, expected) in [
        ("GET / HTTP/1.1", vec![format!("localhost:{port}")], 200),
        ("GET / HTTP/1.1", vec!["localhost".to_owned()], 200),
        ("GET / HTTP/1.1", vec![format!("LOCALHOST:{port}")], 200),
        ("GET / HTTP/1.1", vec!["LocalHost.".to_owned()], 200),
        ("GET / HTTP/1.1", vec![format!("localhost.:{port}")], 200),
        ("GET http://localhost/ HTTP/1.1", vec!["localhost".to_owned()], 200),
        ("GET http://localhost/?x HTTP/1.1", vec!["localhost".to_owned()], 200),
        ("GET http://localhost HTTP/1.1", vec!["localhost".to_owned()], 200),
        ("GET http://evil.example.com/ HTTP/1.1", vec!["localhost".to_owned()], 400),
        ("GET http://localhost/ HTTP/1.1", vec!["evil.example.com".to_owned()], 400),
        ("GET / HTTP/1.1", vec!["evil.example.com".to_owned()], 421),
        ("GET / HTTP/1.1", vec!["localhost.evil.example.com".to_owned()], 421),
        ("GET / HTTP/1.1", vec!["xlocalhost".to_owned()], 421),
        ("GET / HTTP/1.1", vec!["localhost".to_owned(), "localhost".to_owned()], 400),
        ("GET / HTTP/1.1", vec!["localhost".to_owned(), "evil.example.com".to_owned()], 400),
        ("GET / HTTP/1.1", vec!["localhost, evil.example.com".to_owned()], 400),
        ("GET / HTTP/1.1", vec!["localhost@evil.example.com".to_owned()], 400),
        ("GET / HTTP/1.1", vec!["local%68ost".to_owned()], 400),
        ("GET / HTTP/1.1", vec![String::new()], 400),
        ("GET / HTTP/1.1", vec![], 400),
    ] {
        house.backend.forget();
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let answer = Wire::once(house.address(), format!("{line}\r\n{hosts}{cookie}\r\n").as_bytes()).await;
        assert_eq!(answer.status, expected, "{line} {hosts}");
        assert_eq!(house.backend.count(), usize::from(expected == 200), "{line} {hosts}");
    }
}
