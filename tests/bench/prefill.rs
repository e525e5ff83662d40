//! Fills a gateway's ledger with revocations of other people, and prints the `Cookie` header of somebody signed in.
//!
//! `prefill CONFIG COUNT`: the ledger, the key ring and the app (the first) are those that the config names. The gateway
//! must not run yet.
#![expect(clippy::expect_used, reason = "a program of the bench, run by hand: it may end with a message")]

use std::path::Path;

use portcullis::config::Config;
use portcullis::identity::{Email, Identity, Issuer, Target, TargetKind};
use portcullis::ledger::{self, Ledger};
use portcullis::revocation::{Fact, Mode, Origin, Reach, Revocation, Whom};
use portcullis::session::{Session, SessionId};
use portcullis::time::{Clock, Timestamp};

/// Revocations in one transaction.
const CHUNK: usize = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the config");
    let count = arguments.next().and_then(|n| n.parse().ok()).expect("how many revocations");
    let config = Config::load(Path::new(&path)).unwrap_or_else(|faults| end_with(&faults));
    let idp = config.idps.values().next().expect("an IdP");
    let now = Clock::System.now();

    let (ledger, _) = Ledger::open(&ledger::Settings::at(&config.ledger.path)).expect("the ledger opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let others: Vec<usize> = (0..count).collect();
    for some in others.chunks(CHUNK) {
        let some: Vec<_> = some.iter().map(|n| Fact::Revoked(other(&idp.issuer, *n, now))).collect();
        runtime.block_on(ledger.append(&some)).expect("durable");
    }

    let app = config.apps.iter().next().expect("an app");
    let id = SessionId([1; 16]);
    let session = Session::begin(id, &app.idp, &ann(&idp.issuer, now), vec![], &config.keys, now);
    let cookies = session.seal(&config.keys, app.origin.host().as_str()).expect("sealed");
    let pairs: Vec<_> = cookies.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    println!("{}", pairs.join("; "));
}

fn end_with(faults: &dyn std::fmt::Display) -> ! {
    eprintln!("{faults}");
    std::process::exit(78)
}

/// Somebody else's revocation, number `n`.
fn other(issuer: &Issuer, n: usize, now: Timestamp) -> Revocation {
    let target = Target::new(issuer, TargetKind::User, &format!("user-{n}")).expect("target");
    Revocation {
        whom: Whom::all_of(vec![target]).expect("whom"),
        reach: Reach::All,
        mode: Mode::Terminate,
        cut_off: now,
        origin: Origin::Operator,
        reason: None,
        said: Default::default(),
        received_at: now,
    }
}

/// Who is signed in: as many facts as a usual IdP tells.
fn ann(issuer: &Issuer, now: Timestamp) -> Identity {
    Identity {
        issuer: issuer.clone(),
        subject: "248289761001".into(),
        sid: Some("08a5019c-17e1-4977-8f42-65a12843ea02".into()),
        email: Email::parse("ann@corp.example"),
        phone: None,
        preferred_username: Some("ann".into()),
        groups: vec!["staff".into(), "payroll".into()],
        tenant: None,
        device: None,
        asserted_at: now,
        auth_time: Some(now),
        session_expiry: None,
    }
}
