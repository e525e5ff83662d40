use super::*;
use crate::jose::tests::Xorshift;
use crate::session::Person;

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("request").into_parts().0
}

/// What is read of a question: family, method, host and target, or the doubt.
fn read(rest: &str, headers: &[(&str, &str)]) -> Result<(Family, String), Doubt> {
    let (family, original, _) = original(rest, &head("GET", "/", headers), true)?;
    Ok((family, format!("{} {}{}", original.method, original.host.as_str(), original.target)))
}

const NGINX: [(&str, &str); 2] =
    [("x-original-url", "https://wiki.example/admin?x=/healthz"), ("x-original-method", "POST")];
const FORWARDED: [(&str, &str); 4] = [
    ("x-forwarded-method", "GET"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "wiki.example:443"),
    ("x-forwarded-uri", "/a%2db?q"),
];

#[test]
fn a_family_reads_its_own_headers_and_nobody_elses() {
    let both: Vec<_> = NGINX.into_iter().chain(FORWARDED).chain([("host", "files.example")]).collect();
    let nginx = Ok((Family::Nginx, "POST wiki.example/admin?x=/healthz".to_owned()));
    let forwarded = Ok((Family::Forwarded, "GET wiki.example/a-b?q".to_owned()));
    assert_eq!(read("/nginx", &both), nginx);
    for rest in ["/traefik", "/caddy", "/haproxy", "/caddy?allowed_groups=a"] {
        assert_eq!(read(rest, &both), forwarded, "`{rest}`");
    }
    assert_eq!(read("/envoy/b?c", &both), Ok((Family::Envoy, "GET files.example/b?c".to_owned())));
    assert_eq!(read("/nginx", &FORWARDED), Err(Doubt::Original));
    assert_eq!(read("/traefik", &NGINX), Err(Doubt::Original));
    assert_eq!(read("/envoy/", &NGINX), Err(Doubt::Original));
    for rest in ["/", "/squid", "/nginx/", "/nginx/x", "/NGINX", "/envoy*", "/envoyx/"] {
        assert_eq!(read(rest, &both), Err(Doubt::Family), "`{rest}`");
    }
}

#[test]
fn a_stranger_is_told_nothing_of_what_is_asked() {
    for rest in ["/nginx", "/envoy/", "/traefik", "/envoy/%zz"] {
        let found = original(rest, &head("GET", "/", &NGINX), false);
        assert_eq!(found.expect_err("refused"), Doubt::Stranger, "`{rest}`");
    }
}

#[test]
fn what_is_missing_doubled_or_no_request_is_not_guessed() {
    for (name, value) in [
        ("x-forwarded-method", "CONNECT"),
        ("x-forwarded-method", "TRACE"),
        ("x-forwarded-method", "G T"),
        ("x-forwarded-proto", "javascript"),
        ("x-forwarded-host", "wiki.example, evil.example"),
        ("x-forwarded-host", ""),
        ("x-forwarded-host", "wiki.example/evil"),
    ] {
        let headers: Vec<_> = FORWARDED.into_iter().map(|(n, v)| (n, if n == name { value } else { v })).collect();
        assert_eq!(read("/traefik", &headers), Err(Doubt::Original), "{name}: `{value}`");
    }
    for (name, _) in FORWARDED {
        let without: Vec<_> = FORWARDED.into_iter().filter(|(n, _)| *n != name).collect();
        assert_eq!(read("/caddy", &without), Err(Doubt::Original), "no {name}");
        let doubled: Vec<_> = FORWARDED.into_iter().chain(FORWARDED.into_iter().filter(|(n, _)| *n == name)).collect();
        assert_eq!(read("/caddy", &doubled), Err(Doubt::Original), "two of {name}");
    }
    for url in ["/admin", "wiki.example/admin", "https://wiki.example", "https:///admin", "https://a@b/admin"] {
        let headers = [("x-original-url", url), ("x-original-method", "GET")];
        assert_eq!(read("/nginx", &headers), Err(Doubt::Original), "`{url}`");
    }
}

#[test]
fn a_path_that_some_reader_takes_for_another_is_refused() {
    for path in [
        "/app/../admin",
        "/app/%2e%2e/admin",
        "/app/.%2E/admin",
        "/app/..%2fadmin",
        "/app/..;/admin",
        "//admin",
        "/app//admin",
        "/./admin",
        "/admin/.",
        "/admin/..",
        "/admin%00",
        "/admin%0a",
        "/admin\\x",
        "/%c0%afadmin",
        "/%zz",
        "",
        "*",
    ] {
        assert_eq!(rebuilt(&Method::GET, Host::parse("a").expect("host"), path), Err(Doubt::Path), "`{path}`");
    }
    for (path, decided) in [("/a%2Db%c3%a4", "/a-b%C3%A4"), ("/a/", "/a/"), ("/a;x=y?../b//c", "/a;x=y?../b//c")] {
        let original = rebuilt(&Method::GET, Host::parse("a").expect("host"), path).expect("plain");
        assert_eq!(original.target, decided, "`{path}`");
    }
    let own = rebuilt(&Method::GET, Host::parse("a").expect("host"), "/OAuth2/static/page.css");
    assert_eq!(own, Err(Doubt::OwnPath));
}

#[test]
fn the_clients_dot_segments_reach_no_other_endpoint() {
    for (target, asks) in [
        ("/oauth2/auth", true),
        ("/oauth2/auth?x", true),
        ("/oauth2/auth/", true),
        ("/oauth2/auth/envoy/../../static/page.css", true),
        ("/oauth2/auth/envoy/%2e%2e/nginx", true),
        ("/oauth2/authors", false),
        ("/oauth2/userinfo", false),
        ("/oauth2", false),
    ] {
        assert_eq!(asks_for_verdict(target.as_bytes()), asks, "`{target}`");
    }
    for rest in ["/envoy/../../static/page.css", "/envoy/../nginx", "/envoy/%2e%2e/nginx"] {
        let headers: Vec<_> = NGINX.into_iter().chain([("host", "wiki.example")]).collect();
        assert_eq!(read(rest, &headers), Err(Doubt::Path), "`{rest}`");
    }
}

#[test]
fn the_query_narrows_and_a_slip_in_it_admits_nobody() {
    let ann = Person {
        subject: "1".into(),
        email: Some("ann@corp.example".into()),
        groups: vec!["staff".into(), "Ops".into()],
        ..Person::default()
    };
    for (query, admitted) in [
        ("", Some(true)),
        ("rd=/x", Some(true)),
        ("allowed_groups=admins,staff", Some(true)),
        ("allowed_groups=admins&allowed_groups=staff", Some(true)),
        ("allowed_groups=admins", Some(false)),
        ("allowed_groups=ops", Some(false)),
        ("allowed_emails=ben@corp.example,Ann@CORP.example", Some(true)),
        ("allowed_emails=ben@corp.example", Some(false)),
        ("allowed_email_domains=CORP.example", Some(true)),
        ("allowed_groups=staff&allowed_emails=ben@corp.example", Some(false)),
        ("allowed_groups=", None),
        ("allowed_groups=,", None),
        ("allowed_emails=ann", None),
        ("allowed_group=admins", None),
    ] {
        assert_eq!(narrowed(query).map(|allow| allow.admits(&ann)), admitted, "`{query}`");
    }
}

#[test]
fn a_damaged_question_is_doubted_or_decided_on_what_is_served() {
    let seed = 0x0dd5_eed5_0f0a_9a1d;
    println!("seed {seed:#x}");
    let mut random = Xorshift(seed);
    let (mut decided, mut doubted) = (0, 0);
    for round in 0..20_000 {
        let mut damaged = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            if random.below(3) == 0 {
                random.damage(&mut bytes);
            }
            if random.below(6) == 0 {
                let pieces = ["%2e%2e/", "../", "//", "%2f", "\\", "%00", "?", "#", "@", ":", "%", ";", "/oauth2", " "];
                let piece = random.one_of::<&str>(&pieces);
                let at = random.below(bytes.len() + 1);
                bytes.splice(at..at, piece.bytes());
            }
            bytes
        };
        let envoy = String::from_utf8_lossy(&damaged("/envoy/a/b%20c?q")).into_owned();
        let mut head = head("GET", "/", &[]);
        for (name, value) in NGINX.into_iter().chain(FORWARDED).chain([("host", "wiki.example")]) {
            let value = http::HeaderValue::from_bytes(&damaged(value));
            head.headers.extend(value.ok().map(|value| (http::HeaderName::from_static(name), value)));
        }
        for rest in ["/nginx", "/traefik", &envoy] {
            let Ok((family, original, _)) = original(rest, &head, true) else {
                doubted += 1;
                continue;
            };
            decided += 1;
            let field = |name: &str| head.headers[name].to_str().expect("it was read").to_owned();
            let given = match family {
                Family::Nginx => field("x-original-url").split_once("://").expect("a scheme").1.to_owned(),
                Family::Forwarded => field("x-forwarded-uri"),
                Family::Envoy => rest.to_owned(),
            };
            let given = given.split('?').next().expect("a first part").to_owned();
            let path = original.path.as_str();
            assert!(
                percent_decode_str(&given).collect::<Vec<_>>().ends_with(&percent_decode_str(path).collect::<Vec<_>>()),
                "round {round}: `{path}` of `{given}`"
            );
            assert_eq!(CanonicalPath::parse(path).ok().as_ref(), Some(&original.path), "round {round}: `{path}`");
            assert!(original.target.starts_with(path) && !owns(&original.path), "round {round}: `{path}`");
        }
    }
    assert!(decided > 5_000 && doubted > 5_000, "{decided} decided, {doubted} doubted");
}
