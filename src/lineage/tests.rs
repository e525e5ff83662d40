use super::*;
use crate::apps::tests::app;
use crate::identity::{Identity, Issuer};
use crate::revocation::Standing;

mod parts;

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(super) const WHO: [(&str, u8); 2] = [("ann", 1), ("ann", 2)];

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(NOW.secs() + seconds)
}

pub(super) fn ring() -> KeyRing {
    let key = crate::seal::generate_key().expect("key");
    KeyRing::parse([key.expose().as_str()]).expect("ring").expect("one key")
}

fn identity(subject: &str, asserted_at: Timestamp) -> Identity {
    Identity {
        issuer: Issuer::parse("https://idp.example.com").expect("issuer"),
        subject: subject.into(),
        sid: None,
        email: None,
        phone: None,
        preferred_username: None,
        groups: vec!["staff".into()],
        tenant: None,
        device: None,
        asserted_at,
        auth_time: Some(asserted_at),
        session_expiry: None,
    }
}

pub(super) fn session(ring: &KeyRing, (subject, id): (&str, u8), asserted_at: Timestamp) -> Session {
    Session::begin(SessionId([id; 16]), "corp", &identity(subject, asserted_at), vec![], ring, asserted_at)
}

/// A browser of one app: what is set goes through `dress`, what is sent through `receive`.
struct Stage {
    app: App,
    ring: KeyRing,
    names: Names,
}

impl Stage {
    fn new() -> Self {
        Self { app: app("wiki", "https://wiki.example/w"), ring: ring(), names: Names::default() }
    }

    fn set(&self, field: &[u8], session: Option<&Session>, kept: &[Kept]) -> Dressed {
        let lineage = session.map(Lineage::of);
        dress(field, (&self.app, &self.ring, &self.names), lineage.as_ref(), kept, "/w/page", NOW)
    }

    /// The name and sealed value that the browser keeps.
    fn sealed(&self, field: &str, session: &Session) -> (String, String) {
        match self.set(field.as_bytes(), Some(session), &[]) {
            Dressed::Sealed(bytes) => {
                let text = String::from_utf8(bytes).expect("ascii");
                let pair = text.split(';').next().expect("pair");
                let (name, value) = pair.split_once('=').expect("pair");
                (name.to_owned(), value.to_owned())
            }
            other => panic!("{other:?} for `{field}`"),
        }
    }

    fn scene<'a>(&'a self, behind: Option<&'a Lineage>) -> Scene<'a> {
        let (app, ring, names) = (&self.app, &self.ring, &self.names);
        let horizon = at(0).minus(std::time::Duration::from_secs(86_400));
        Scene { app, ring, names, behind, public: false, horizon }
    }

    fn send(&self, cookies: &[(&str, &str)], session: Option<&Session>, standing: Standing) -> Received {
        receive(cookies, &self.scene(session.map(Lineage::of).as_ref()), |_| standing)
    }
}

fn field(received: &Received) -> Option<String> {
    received.field.as_ref().map(|field| String::from_utf8(field.clone()).expect("text"))
}

#[test]
fn what_the_app_set_comes_back_byte_for_byte() {
    let stage = Stage::new();
    let ann = session(&stage.ring, WHO[0], NOW);
    for value in ["abcdef", "\"a b\"", "\"\"", "\"a", "a, b", "{\"a\":1}", "a=b==", "pcl1.x", "s%3Aid.sig", "\u{e9}"] {
        let (name, sealed) = stage.sealed(&format!("SID={value}; HttpOnly"), &ann);
        assert!(!sealed.contains(value), "`{value}` is seen in `{sealed}`");
        let received = stage.send(&[("theme", "dark"), (&name, &sealed)], Some(&ann), Standing::default());
        assert_eq!(field(&received), Some(format!("theme=dark; SID={value}")));
        assert!(received.faults.is_empty() && received.expiries.is_empty());
    }
}

#[test]
fn attributes_stay_as_they_were_written() {
    let stage = Stage::new();
    let ann = session(&stage.ring, WHO[0], NOW);
    for attributes in [
        "; path=/w;Domain=.wiki.example; EXPIRES=Fri, 15 Jan 2100 08:00:00 GMT; HttpOnly; SameSite=Strict",
        "; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Priority=High; Max-Age=600",
        // Behind a quoted value browsers cut at the first `;`, too.
        "; d\"; HttpOnly",
    ] {
        let Dressed::Sealed(out) = stage.set(format!("SID=\"x{attributes}").as_bytes(), Some(&ann), &[]) else {
            panic!("not sealed: `{attributes}`")
        };
        assert!(out.ends_with(attributes.as_bytes()), "`{attributes}`");
    }
}

#[test]
fn what_scripts_read_what_deletes_and_what_has_no_session_passes() {
    let mut stage = Stage::new();
    stage.app.session_cookies = vec!["remember".into()];
    let ann = session(&stage.ring, WHO[0], NOW);
    for (set, session, same) in [
        ("csrf=x; Path=/", Some(&ann), true),
        ("SID=; HttpOnly", Some(&ann), true),
        ("SID=gone; Max-Age=0; HttpOnly", Some(&ann), true),
        ("SID=gone; Expires=Thu, 01-Jan-1970 00:00:01 GMT; HttpOnly", Some(&ann), true),
        ("SID=x; HttpOnly", None, true),
        ("no-pair; HttpOnly", Some(&ann), true),
        ("=x; HttpOnly", Some(&ann), true),
        ("remember=x", None, true),
        ("remember=x", Some(&ann), false),
        ("SID=x; httponly", Some(&ann), false),
        ("__Host-sid=x; Path=/; Secure; HttpOnly", Some(&ann), false),
        // Seen HttpOnly before, so it is guarded without the attribute, too.
        ("SID=x", Some(&ann), false),
    ] {
        assert_eq!(stage.set(set.as_bytes(), session, &[]) == Dressed::Same, same, "`{set}`");
    }
    let large = format!("SID={}; HttpOnly", "x".repeat(13_000));
    assert_eq!(stage.set(large.as_bytes(), Some(&ann), &[]), Dressed::Dropped);
}

#[test]
fn a_value_without_its_seal_does_not_pass_under_a_session() {
    let mut stage = Stage::new();
    stage.app.session_cookies = vec!["named".into()];
    let ann = session(&stage.ring, WHO[0], NOW);
    stage.sealed("seen=x; HttpOnly", &ann);
    let cookies = [("free", "1"), ("named", "raw"), ("seen", "raw"), ("", "odd"), ("", "seen=raw")];
    let received = stage.send(&cookies, Some(&ann), Standing::default());
    assert_eq!(field(&received).as_deref(), Some("free=1; odd; =seen=raw"));
    assert_eq!(received.faults, [Fault::NoSeal, Fault::NoSeal]);
    let expired: Vec<_> = received.expiries.iter().map(|e| e.split("; Max-Age").next().expect("text")).collect();
    assert_eq!(expired, ["named=; Path=/", "named=; Path=/w", "seen=; Path=/", "seen=; Path=/w"]);
    // Before anybody signed in, it is only what the app gave out to nobody.
    assert_eq!(field(&stage.send(&cookies, None, Standing::default())), None);
}

#[test]
fn who_may_bring_a_cookie() {
    let stage = Stage::new();
    let (first, again) = (session(&stage.ring, WHO[0], at(0)), session(&stage.ring, WHO[1], at(100)));
    let ben = session(&stage.ring, ("ben", 3), at(100));
    let old = session(&stage.ring, ("ann", 4), NOW.minus(std::time::Duration::from_secs(90_000)));
    let (clear, over) = (Standing::default(), Standing { terminated: Some(at(50)), reestablish: None, held: None });
    let hold = Standing { terminated: None, reestablish: Some(at(50)), held: None };
    for (what, maker, session, standing, expected) in [
        ("the session that made it", &first, Some(&first), clear, None),
        ("a later session of the same person", &first, Some(&again), clear, None),
        ("terminated, a fresh sign-in beside it", &first, Some(&again), over, Some(Fault::Terminated)),
        ("re-established by a newer session", &first, Some(&again), hold, None),
        ("another person", &first, Some(&ben), clear, Some(Fault::OtherPerson)),
        ("nobody, on a public path", &first, None, clear, None),
        ("nobody, terminated", &first, None, over, Some(Fault::Terminated)),
        ("nobody, to be re-established", &first, None, hold, Some(Fault::Withheld)),
        ("older than what is remembered", &old, Some(&again), clear, Some(Fault::TooOld)),
    ] {
        let (name, sealed) = stage.sealed("SID=x; HttpOnly; Path=/w/deep; Domain=wiki.example", maker);
        let received = stage.send(&[(&name, &sealed)], session, standing);
        assert_eq!(received.faults.first().copied(), expected, "{what}");
        assert_eq!(field(&received).as_deref(), Some(if expected.is_none() { "SID=x" } else { "" }), "{what}");
        let expires = expected.is_some_and(|fault| fault != Fault::Withheld);
        assert_eq!(received.expiries.len(), usize::from(expires), "{what}");
        assert!(received.expiries.iter().all(|e| e.starts_with("SID=; Path=/w/deep; Domain=wiki.example; ")), "{what}");
    }
}

#[test]
fn on_a_public_path_a_session_stands_for_what_it_is_newer_than() {
    let stage = Stage::new();
    let (first, again) = (session(&stage.ring, WHO[0], at(0)), session(&stage.ring, WHO[1], at(100)));
    let (name, sealed) = stage.sealed("SID=x; HttpOnly", &first);
    let behind = Lineage::of(&again);
    // What names the first session only leaves the other one clear.
    for (cut_off, public, expected) in [
        (at(50), true, vec![]),
        (at(150), true, vec![Fault::Withheld]),
        // Here the person is asked to sign in.
        (at(150), false, vec![]),
    ] {
        let scene = Scene { public, ..stage.scene(Some(&behind)) };
        let received = receive(&[(&name, &sealed)], &scene, |credential| Standing {
            terminated: None,
            reestablish: (credential.asserted_at <= cut_off).then_some(cut_off),
            held: None,
        });
        assert_eq!(received.faults, expected, "{cut_off:?}, public: {public}");
    }
}

#[test]
fn a_seal_of_another_app_name_or_key_is_no_seal() {
    let (stage, stranger) = (Stage::new(), Stage::new());
    let ann = session(&stage.ring, WHO[0], NOW);
    let (name, sealed) = stage.sealed("SID=x; HttpOnly", &ann);
    let foreign = stranger.sealed("SID=x; HttpOnly", &session(&stranger.ring, WHO[0], NOW)).1;
    let refused = |name: &str, value: &str| stage.send(&[(name, value)], Some(&ann), Standing::default()).faults;
    assert_eq!(refused(&name, &sealed), []);
    assert_eq!(refused("OTHER", &sealed), [Fault::Seal(OpenError::Refused)]);
    assert_eq!(refused(&name, &foreign), [Fault::Seal(OpenError::UnknownKey)]);
    assert_eq!(refused(&name, "pcl1."), [Fault::Seal(OpenError::Malformed)]);
    assert_eq!(refused(&name, &format!("{sealed}{sealed}")).len(), 1);
    let mail = Stage { app: app("mail", "https://wiki.example/w"), ring: ring(), names: Names::default() };
    let hers = Lineage::of(&ann);
    let same_key = Scene { app: &mail.app, names: &mail.names, ..stage.scene(Some(&hers)) };
    let received = receive(&[(&name, &sealed)], &same_key, |_| Standing::default());
    assert_eq!(received.faults, [Fault::Seal(OpenError::Refused)]);
}

#[test]
fn apps_of_one_realm_open_each_others_cookies_and_judge_for_themselves() {
    let mut wiki = Stage::new();
    wiki.app.realm = "intranet".into();
    let ann = session(&wiki.ring, WHO[0], NOW);
    // Her session on the other app's host is another one.
    let there = session(&wiki.ring, WHO[1], NOW);
    let field = format!("SSO={}; Domain=corp.example; Path=/; HttpOnly", "x".repeat(4000));
    let Dressed::Several(fields) = wiki.set(field.as_bytes(), Some(&ann), &[]) else { panic!("not in parts") };
    let text: Vec<_> = fields.iter().map(|field| String::from_utf8_lossy(field)).collect();
    let cookies: Vec<_> = text.iter().filter_map(|field| field.split(';').next()?.split_once('=')).collect();
    let mut mail = app("mail", "https://mail.corp.example");
    let judged = std::cell::Cell::new(None);
    for (realm, opens) in [("intranet", true), ("mail", false), ("wiki", false)] {
        mail.realm = realm.into();
        let lineage = Lineage::of(&there);
        let scene = Scene { app: &mail, ..wiki.scene(Some(&lineage)) };
        let received = receive(&cookies, &scene, |credential| {
            judged.set(Some(credential.app));
            Standing::default()
        });
        assert_eq!(received.kept.len(), usize::from(opens), "{realm}: {:?}", received.faults);
        assert_eq!(judged.take(), opens.then_some(mail.key), "{realm}: in the app that is asked");
        let raw = receive(&[("SSO", "raw")], &scene, |_| Standing::default());
        assert_eq!(raw.faults, if opens { vec![Fault::NoSeal] } else { vec![] }, "{realm}: one guards for all");
    }
}

#[test]
fn several_cookies_of_one_name_are_several_credentials() {
    let stage = Stage::new();
    let (ann, ben) = (session(&stage.ring, WHO[0], NOW), session(&stage.ring, ("ben", 3), NOW));
    let (name, hers) = stage.sealed("SID=hers; HttpOnly", &ann);
    let (_, his) = stage.sealed("SID=his; HttpOnly", &ben);
    let (_, deep) = stage.sealed("SID=deep; HttpOnly; Path=/w/deep", &ann);
    let received = stage.send(&[(&name, &deep), (&name, &his), (&name, &hers)], Some(&ann), Standing::default());
    assert_eq!(field(&received).as_deref(), Some("SID=deep; SID=hers"));
    assert_eq!(received.faults, [Fault::OtherPerson]);
}

#[test]
fn a_value_that_is_set_again_keeps_its_lineage() {
    let stage = Stage::new();
    let (first, again) = (session(&stage.ring, WHO[0], at(0)), session(&stage.ring, WHO[1], at(100)));
    let (name, sealed) = stage.sealed("SID=x; HttpOnly", &first);
    let kept = stage.send(&[(&name, &sealed)], Some(&again), Standing::default()).kept;
    for (set, expected) in [(&b"SID=x; HttpOnly"[..], at(0)), (b"SID=y; HttpOnly", at(100))] {
        let Dressed::Sealed(out) = stage.set(set, Some(&again), &kept) else { panic!("not sealed") };
        let text = String::from_utf8(out).expect("ascii");
        let value = text.split(';').next().and_then(|pair| pair.strip_prefix("SID=")).expect("value");
        let cookie = AppCookie::open(&stage.ring, &stage.app, "SID", value).expect("opens");
        assert_eq!(cookie.lineage.asserted_at, expected);
    }
}

#[test]
fn a_newer_assertion_lifts_what_was_to_be_reestablished_and_nothing_else() {
    let ring = ring();
    let old = Lineage::of(&session(&ring, WHO[0], at(0)));
    let lifted = old.reestablished_at(at(100));
    assert_eq!((lifted.asserted_at, lifted.auth_time), (at(100), Some(at(0))));
}

#[test]
fn names_are_bounded_per_app() {
    let stage = Stage::new();
    let other = app("mail", "https://mail.example");
    for n in 0..=MAX_NAMES {
        stage.names.remember(&stage.app, &format!("n{n}"));
    }
    assert!(stage.names.guards(&stage.app, "n0") && !stage.names.guards(&other, "n0"));
    assert!(!stage.names.guards(&stage.app, &format!("n{MAX_NAMES}")));
}

/// Ten thousand changes of sealed values and of `Set-Cookie` fields: none opens, none panics.
#[test]
fn no_mutation_opens_or_panics() {
    let stage = Stage::new();
    let ann = session(&stage.ring, WHO[0], NOW);
    let (name, sealed) = stage.sealed("SID=secret; HttpOnly", &ann);
    let set = b"SID=secret; Path=/; Expires=Thu, 01 Jan 2099 00:00:00 GMT; Max-Age=9; Domain=a.b; HttpOnly";
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).expect("31 bits")
    };
    for round in 0..10_000 {
        let mut bytes = sealed.clone().into_bytes();
        let at = MARK.len() + next() % (bytes.len() - MARK.len());
        match round % 3 {
            0 => bytes[at] = b"ABCxyz019-_.~"[next() % 13],
            1 => bytes.truncate(at),
            _ => bytes.insert(at, b'A'),
        }
        if bytes != sealed.as_bytes() {
            let value = String::from_utf8(bytes).expect("ascii");
            let received = stage.send(&[(&name, &value)], Some(&ann), Standing::default());
            assert_eq!(field(&received).as_deref(), Some(""), "round {round}");
        }
        let mut field = set.to_vec();
        for _ in 0..=next() % 8 {
            let at = next() % field.len();
            field[at] = u8::try_from(next() % 256).expect("a byte");
        }
        field.truncate(next() % (field.len() + 1));
        stage.set(&field, Some(&ann), &[]);
    }
    let key = ring().newest();
    for _ in 0..10_000 {
        let bytes: Vec<u8> = (0..next() % 200).map(|_| u8::try_from(next() % 256).expect("a byte")).collect();
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        AppCookie::decode(&bytes, key);
    }
}

#[test]
fn an_access_token_is_revoked_as_a_session_of_the_same_person_is() {
    let ring = ring();
    let session = session(&ring, WHO[0], at(0));
    let of = |idp: &str, subject: &str| Lineage::of_access_token(idp, &identity(subject, at(5)), &ring);
    let token = of("corp", "ann");
    let own = |lineage: &Lineage| -> Vec<_> {
        lineage.targets.iter().copied().filter(|(kind, _)| *kind != TargetKind::Gateway).collect()
    };
    assert_eq!(own(&token), own(&Lineage::of(&session)));
    assert_eq!((token.asserted_at, token.auth_time, token.session), (at(5), Some(at(5)), SessionId([0; 16])));
    for (idp, subject, same) in [("corp", "ann", true), ("corp", "ben", false), ("partners", "ann", false)] {
        assert_eq!(of(idp, subject).is_of_the_same_person(&Lineage::of(&session)), same, "{subject} of {idp}");
    }
}
