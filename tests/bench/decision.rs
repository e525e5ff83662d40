//! What a decision costs: evidence, admission and decision together, with nothing, ten thousand and a million
//! revocations in force.
#![expect(clippy::expect_used, reason = "a bench may end with a message")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use portcullis::apps::{
    Access, Allow, App, Apps, CanonicalPath, HeaderProfile, Host, Origin, Prefix, Transport, Upstream, WhenBlind,
};
use portcullis::decision::{Client, Decision, Request, decide};
use portcullis::enforcer::{self, Enforcer};
use portcullis::evidence::{Evidence, Imprint, Sort, collect, cookies};
use portcullis::exchanges::{self, Cut, Exchange, Held, Kind};
use portcullis::identity::{AppKey, Email, Identity, Issuer, Target, TargetKind};
use portcullis::revocation::{Mode, Origin as From, Reach, Revocation, Whom};
use portcullis::seal::{KeyRing, generate_key};
use portcullis::session::{self, Session, SessionId};
use portcullis::time::Timestamp;

/// The one that the gateway runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const SESSION: session::Settings =
    session::Settings { max_age: Duration::from_secs(43_200), idle: Duration::from_secs(3_600) };

fn issuer() -> Issuer {
    Issuer::parse("https://idp.example.com").expect("issuer")
}

fn app() -> App {
    let url = url::Url::parse("https://wiki.example.com").expect("url");
    App {
        name: "wiki".into(),
        key: AppKey::of("wiki"),
        origin: Origin::of(&url).expect("origin"),
        prefix: Prefix::parse("/").expect("prefix"),
        upstreams: vec![Upstream { host: "127.0.0.1".into(), port: 1, tls: false }],
        built_in: None,
        transport: Transport {
            server_name: None,
            ca_pem: None,
            http2: false,
            connect_timeout: Duration::from_secs(1),
            read_timeout: None,
            keep_alive: Duration::from_secs(1),
            pool: true,
            health_path: None,
            host_header: None,
        },
        idp: "corp".into(),
        access: Access::Login,
        bearer: None,
        minting: None,
        allow: Allow { groups: vec!["staff".into()], ..Allow::default() },
        rules: vec![],
        headers: HeaderProfile::Forwarded,
        max_body: 1 << 20,
        websocket_origins: vec![],
        learn: true,
        session_cookies: vec![],
        logout_paths: vec![],
        when_blind: WhenBlind::Reestablish,
        realm: "wiki".into(),
    }
}

fn identity() -> Identity {
    Identity {
        issuer: issuer(),
        subject: "248289761001".into(),
        sid: Some("08a5019c-17e1-4977-8f42-65a12843ea02".into()),
        email: Email::parse("ann@corp.example"),
        phone: None,
        preferred_username: Some("ann".into()),
        groups: vec!["staff".into(), "payroll".into()],
        tenant: None,
        device: None,
        asserted_at: NOW,
        auth_time: Some(NOW),
        session_expiry: None,
    }
}

/// Somebody else's revocation, number `n`.
fn other(n: usize) -> Revocation {
    let target = Target::new(&issuer(), TargetKind::User, &format!("user-{n}")).expect("target");
    Revocation {
        whom: Whom::all_of(vec![target]).expect("whom"),
        reach: Reach::All,
        mode: Mode::Terminate,
        cut_off: NOW,
        origin: From::Operator,
        reason: None,
        said: Default::default(),
        received_at: NOW,
    }
}

fn decisions(criterion: &mut Criterion) {
    let key = generate_key().expect("key");
    let ring = Arc::new(KeyRing::parse([key.expose().as_str()]).expect("ring").expect("one key"));
    let session = Session::begin(SessionId([1; 16]), "corp", &identity(), vec![], &ring, NOW);
    let cookie = session.seal(&ring, "wiki.example.com").expect("sealed").remove(0).1;
    let mut headers = HeaderMap::new();
    let value = format!("theme=dark; {}={cookie}; PHPSESSID=k1v9d0", session::COOKIE);
    headers.insert("cookie", value.parse().expect("value"));
    headers.insert("sec-fetch-mode", "navigate".parse().expect("value"));
    let apps = Apps::new([app()]);
    println!("the session cookie has {} characters", cookie.len());

    let mut group = criterion.benchmark_group("decision");
    for (label, size) in [("0", 0), ("10k", 10_000), ("1M", 1_000_000)] {
        let settings = enforcer::Settings {
            longest_life: SESSION.max_age,
            margin: Duration::from_secs(60),
            exchanges: exchanges::Settings::default(),
        };
        let enforcer = Enforcer::new(&settings, ring.clone());
        (0..size).for_each(|n| {
            enforcer.apply(&other(n));
        });
        group.bench_function(label, |bencher| {
            bencher.iter(|| {
                let host = Host::parse(black_box("wiki.example.com")).expect("host");
                let path = CanonicalPath::parse(black_box("/doku.php")).expect("path");
                let app = apps.find(&host, &path).expect("app");
                let evidence =
                    Evidence::from(collect(cookies(black_box(&headers)).as_deref(), app, &ring, &SESSION, NOW));
                let held = evidence.session().map(|s| Held {
                    targets: s.targets.clone(),
                    asserted_at: s.asserted_at,
                    auth_time: s.auth_time,
                    imprint: Imprint::of_session(Sort::Session, s.id.0),
                });
                let exchange = Exchange {
                    credentials: held.into_iter().collect(),
                    app: app.key,
                    app_name: app.name.as_str().into(),
                    kind: Kind::Request,
                    ends_at: evidence.session().map(|s| s.end(&SESSION)),
                };
                let (standing, guard) = enforcer.admit(exchange, &Cut::new()).expect("room");
                let request = Request {
                    client: Client::of(&http::Method::GET, &headers),
                    path: &path,
                    origin: None,
                    blind: false,
                };
                let decision = decide(&request, app, &evidence, standing);
                assert!(matches!(decision, Decision::Forward(_)), "the bench measures a request that passes");
                drop(guard);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
