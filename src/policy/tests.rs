//! Each rule of authority as a row: a subject, whom it comes to, and what is said about the rest.

mod matcher;

use serde_json::{Value, json};

use super::*;
use crate::event::{Detail, Preset, Quirks, Subject, caep};
use crate::jose::tests::Xorshift;

const IDP: &str = "https://idp.example.com";
const PARTNER: &str = "https://partner.example.com";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn spoken_for(name: &str, issuer: &str) -> SpokenFor {
    SpokenFor { name: name.into(), issuer: Issuer::parse(issuer).expect("issuer"), client_id: format!("{name}-client") }
}

fn settings(idps: &[SpokenFor], widest: Widest) -> Settings {
    Settings {
        name: "stream".into(),
        issuer: Issuer::parse(IDP).expect("issuer"),
        audiences: vec!["gateway".into()],
        algs: vec![Alg::Es256],
        speaks_for: idps.to_vec(),
        widest,
        bounds: Bounds::default(),
        rules: Rules::default(),
        allowed_events: None,
        scim_external_id: TargetKind::User,
        critical_members: Vec::new(),
        quirks: Quirks::NONE,
        subject_issuers: Vec::new(),
    }
}

fn event(subject: &Value) -> SecurityEvent {
    SecurityEvent {
        jti: "j1".into(),
        txn: Some("t1".into()),
        issued_at: NOW,
        occurred_at: None,
        subject: Subject::parse(subject, &Quirks::NONE).unwrap_or_else(|why| panic!("{subject}: {why}")),
        events: vec![Event::Happened(happened("session-revoked", Detail::None))],
    }
}

/// What a stream says about one type.
fn told(of: &str, action: Action) -> Rules {
    [(Type::named(of), Rule { action: Some(action), ..Rule::default() })].into_iter().collect()
}

fn happened(of: &str, detail: Detail) -> Happened {
    let of = Type::named(of);
    Happened { of, detail, at: None, initiating_entity: None, reason_admin: None, reason_user: None }
}

/// Whom each revocation names, as `kind value` joined by ` and `, sorted; an issuer that is not the IdP's is named.
fn whoms(judged: &Judged) -> Vec<String> {
    let mut whoms: Vec<String> = judged
        .revocations
        .iter()
        .map(|revocation| {
            let issuer = &revocation.whom.targets()[0].issuer;
            assert!(revocation.whom.targets().iter().all(|target| target.issuer == *issuer), "issuers are mixed");
            let at = if issuer.as_str() == IDP { "" } else { " @partner" };
            format!("{}{at}", revocation.whom)
        })
        .collect();
    whoms.sort();
    whoms
}

fn iss_sub(issuer: &str, sub: &str) -> Value {
    json!({ "format": "iss_sub", "iss": issuer, "sub": sub })
}

fn opaque(id: &str) -> Value {
    json!({ "format": "opaque", "id": id })
}

fn email(address: &str) -> Value {
    json!({ "format": "email", "email": address })
}

fn aliases(names: &[Value]) -> Value {
    json!({ "format": "aliases", "identifiers": names })
}

fn complex(mut members: Value) -> Value {
    members["format"] = json!("complex");
    members
}

fn unmatched(role: &str, format: &str) -> Unmatched {
    Unmatched::Format { role: role.into(), format: format.into() }
}

#[test]
fn a_user_and_a_device_are_one_subject_of_two_targets() {
    let settings = settings(&[spoken_for("corp", IDP)], Widest::User);
    let subject = complex(json!({ "user": iss_sub(IDP, "ann"), "device": opaque("d1") }));
    let judged = revocations(&event(&subject), &settings, NOW).expect("within authority");
    let [revocation] = judged.revocations.as_slice() else { panic!("{judged:?}") };
    let kinds: Vec<_> = revocation.whom.targets().iter().map(|t| (t.kind, t.value.as_str())).collect();
    assert_eq!(kinds, [(TargetKind::User, "ann"), (TargetKind::Device, "d1")]);
    assert_eq!((judged.unmatched, judged.ignored), (Vec::new(), Vec::new()));
}

#[test]
fn a_simple_subject_names_people_of_the_issuers_that_are_spoken_for() {
    let both = [spoken_for("corp", IDP), spoken_for("partner", PARTNER)];
    let own = [spoken_for("corp", IDP)];
    for (name, subject, idps, expected) in [
        ("iss_sub", iss_sub(IDP, "ann"), &own[..], Ok(vec!["user ann"])),
        ("iss_sub of the second issuer", iss_sub(PARTNER, "ann"), &both, Ok(vec!["user ann @partner"])),
        ("iss_sub of a stranger", iss_sub(PARTNER, "ann"), &own, Err(Refused::Issuer)),
        ("iss_sub with a slash more", iss_sub("https://idp.example.com/", "ann"), &own, Err(Refused::Issuer)),
        ("email", email(" Ann@CORP.com"), &own, Ok(vec!["email ann@corp.com"])),
        (
            "email, two issuers",
            email("ann@corp.com"),
            &both,
            Ok(vec!["email ann@corp.com", "email ann@corp.com @partner"]),
        ),
        (
            "phone",
            json!({ "format": "phone_number", "phone_number": "+1 206 555-0123" }),
            &own,
            Ok(vec!["phone +12065550123"]),
        ),
        ("opaque is a session", opaque("s1"), &own, Ok(vec!["session s1"])),
        ("nobody to speak for", opaque("s1"), &[], Err(Refused::Issuer)),
        ("email, nobody to speak for", email("ann@corp.com"), &[], Err(Refused::Issuer)),
        (
            "aliases: any of them",
            aliases(&[iss_sub(IDP, "ann"), email("ann@corp.com"), opaque("s1")]),
            &own,
            Ok(vec!["email ann@corp.com", "session s1", "user ann"]),
        ),
        (
            "aliases of strangers",
            aliases(&[iss_sub(PARTNER, "ann"), iss_sub(PARTNER, "bob")]),
            &own,
            Err(Refused::Issuer),
        ),
    ] {
        let judged = revocations(&event(&subject), &settings(idps, Widest::User), NOW);
        let expected = expected.map(|whoms: Vec<&str>| whoms.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(judged.as_ref().map(whoms).map_err(|why| *why), expected, "{name}");
    }
}

#[test]
fn two_configured_idps_of_one_issuer_are_one() {
    let idps = [spoken_for("corp", IDP), spoken_for("corp-two", IDP)];
    let judged = revocations(&event(&email("ann@corp.com")), &settings(&idps, Widest::User), NOW).expect("judged");
    assert_eq!(whoms(&judged), ["email ann@corp.com"]);
}

#[test]
fn a_complex_subject_names_those_who_match_every_member() {
    let both = [spoken_for("corp", IDP), spoken_for("partner", PARTNER)];
    let ann = || iss_sub(IDP, "ann");
    let foreign = || iss_sub("https://stranger.example.com", "x");
    let did = || json!({ "format": "did", "url": "did:x:1" });
    let none: fn() -> (Vec<Unmatched>, Vec<Ignored>) = || (vec![], vec![]);
    for (name, members, expected, (unmatched, ignored)) in [
        ("user", json!({ "user": ann() }), vec!["user ann"], none()),
        (
            "user and session",
            json!({ "user": ann(), "session": opaque("s1") }),
            vec!["user ann and session s1"],
            none(),
        ),
        (
            "user, session and tenant",
            json!({ "user": ann(), "session": opaque("s1"), "tenant": opaque("t") }),
            vec!["user ann and session s1 and tenant t"],
            none(),
        ),
        (
            "an opaque user is a user",
            json!({ "user": opaque("ann"), "tenant": iss_sub(IDP, "t") }),
            vec!["user ann and tenant t"],
            none(),
        ),
        (
            "an e-mail at each issuer",
            json!({ "user": email("ann@corp.com"), "device": opaque("d") }),
            vec!["email ann@corp.com and device d", "email ann@corp.com and device d @partner"],
            none(),
        ),
        (
            "an e-mail and a device of one issuer",
            json!({ "user": email("ann@corp.com"), "device": iss_sub(PARTNER, "d") }),
            vec!["email ann@corp.com and device d @partner"],
            none(),
        ),
        (
            "a user with aliases: any of them, each with the device",
            json!({ "user": aliases(&[ann(), email("a@b.c")]), "device": iss_sub(IDP, "d") }),
            vec!["email a@b.c and device d", "user ann and device d"],
            none(),
        ),
        (
            "an alias by a stranger does not count",
            json!({ "user": aliases(&[ann(), foreign()]) }),
            vec!["user ann"],
            (vec![], vec![Ignored::Alias]),
        ),
        ("a device alone", json!({ "device": iss_sub(IDP, "d") }), vec!["device d"], none()),
        (
            "our application is true of everybody here",
            json!({ "user": ann(), "application": opaque("corp-client") }),
            vec!["user ann"],
            none(),
        ),
        (
            "our application in the issuer's words",
            json!({ "user": ann(), "application": iss_sub(IDP, "corp-client") }),
            vec!["user ann"],
            none(),
        ),
        (
            "another application",
            json!({ "user": ann(), "application": opaque("payroll") }),
            vec![],
            (vec![], vec![Ignored::Application]),
        ),
        (
            "the partner's client id is not ours at the IdP",
            json!({ "user": ann(), "application": opaque("partner-client") }),
            vec![],
            (vec![], vec![Ignored::Application]),
        ),
        (
            "an application of a stranger",
            json!({ "user": ann(), "application": foreign() }),
            vec![],
            (vec![], vec![Ignored::Application]),
        ),
        (
            "an application alone",
            json!({ "application": opaque("corp-client") }),
            vec![],
            (vec![Unmatched::Nobody], vec![]),
        ),
        (
            "a person that nobody knows in our application is reported, not ignored",
            json!({ "user": did(), "application": opaque("corp-client") }),
            vec![],
            (vec![unmatched("user", "did")], vec![]),
        ),
        (
            "an unknown member",
            json!({ "user": ann(), "rack": opaque("r7") }),
            vec!["user ann"],
            (vec![], vec![Ignored::Member("rack".into())]),
        ),
        (
            "an unknown member alone",
            json!({ "rack": opaque("r7") }),
            vec![],
            (vec![Unmatched::Nobody], vec![Ignored::Member("rack".into())]),
        ),
        (
            "a unit narrows a person, but nobody's is known",
            json!({ "user": ann(), "org_unit": opaque("sales") }),
            vec!["user ann"],
            (vec![unmatched("org_unit", "opaque")], vec![]),
        ),
        (
            "a unit alone",
            json!({ "org_unit": opaque("sales") }),
            vec![],
            (vec![unmatched("org_unit", "opaque")], vec![]),
        ),
        (
            "a device of a stranger narrows a person",
            json!({ "user": ann(), "device": foreign() }),
            vec!["user ann"],
            (vec![unmatched("device", "iss_sub")], vec![]),
        ),
        (
            "a user in a form that nobody has, with a tenant: never the whole tenant",
            json!({ "user": did(), "tenant": opaque("t") }),
            vec![],
            (vec![unmatched("user", "did")], vec![]),
        ),
        (
            "a user in a form that nobody has, with a device",
            json!({ "user": did(), "device": opaque("d") }),
            vec![],
            (vec![unmatched("user", "did")], vec![]),
        ),
        (
            "a session in a form that nobody has",
            json!({ "user": ann(), "session": { "format": "jwt_id", "iss": IDP, "jti": "j" } }),
            vec!["user ann"],
            (vec![unmatched("session", "jwt_id")], vec![]),
        ),
        (
            "the same without a person",
            json!({ "device": opaque("d"), "session": { "format": "jwt_id", "iss": IDP, "jti": "j" } }),
            vec![],
            (vec![unmatched("session", "jwt_id")], vec![]),
        ),
    ] {
        let subject = complex(members);
        let judged = revocations(&event(&subject), &settings(&both, Widest::User), NOW);
        let judged = judged.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(whoms(&judged), expected, "{name}");
        assert_eq!((&judged.unmatched, &judged.ignored), (&unmatched, &ignored), "{name}");
    }
}

#[test]
fn people_of_a_stranger_are_refused_in_every_role() {
    let idps = [spoken_for("corp", IDP)];
    let foreign = || iss_sub(PARTNER, "x");
    for members in [
        json!({ "user": foreign() }),
        json!({ "user": foreign(), "tenant": opaque("t") }),
        json!({ "user": foreign(), "device": opaque("d") }),
        json!({ "user": foreign(), "application": opaque("corp-client") }),
        json!({ "device": foreign() }),
        json!({ "tenant": foreign() }),
        json!({ "tenant": foreign(), "user": iss_sub(IDP, "ann") }),
        json!({ "group": foreign() }),
    ] {
        let subject = complex(members);
        for critical in [vec![], vec!["user".to_owned(), "tenant".to_owned()]] {
            let settings = Settings { critical_members: critical, ..settings(&idps, Widest::Everyone) };
            assert_eq!(revocations(&event(&subject), &settings, NOW), Err(Refused::Issuer), "{subject}");
        }
    }
}

#[test]
fn a_form_that_no_identity_has_is_reported_and_not_refused() {
    for (subject, role, format) in [
        (json!({ "format": "did", "url": "did:x:1" }), "user", "did"),
        (json!({ "format": "uri", "uri": "urn:x" }), "user", "uri"),
        (json!({ "format": "account", "uri": "acct:ann@corp.com" }), "user", "account"),
        (json!({ "format": "jwt_id", "iss": IDP, "jti": "j" }), "session", "jwt_id"),
        (json!({ "format": "saml_assertion_id", "issuer": "i", "assertion_id": "a" }), "session", "saml_assertion_id"),
        (json!({ "format": "ip-addresses", "ip-addresses": ["10.0.0.1"] }), "user", "ip-addresses"),
        (json!({ "format": "catalog_item", "x": 1 }), "user", "catalog_item"),
        (email("ann@evil.com@corp.com"), "user", "email"),
        (json!({ "format": "phone_number", "phone_number": "unlisted" }), "user", "phone_number"),
    ] {
        let settings = settings(&[spoken_for("corp", IDP)], Widest::Everyone);
        let judged = revocations(&event(&subject), &settings, NOW).expect("not refused");
        assert_eq!((judged.revocations, judged.unmatched), (vec![], vec![unmatched(role, format)]), "{subject}");
    }
}

#[test]
fn a_subject_wider_than_the_stream_may_use_is_refused() {
    use Widest::{Everyone, Group, Tenant, User};
    for (members, width) in [
        (json!({ "user": opaque("ann") }), User),
        (json!({ "user": opaque("ann"), "tenant": opaque("t") }), User),
        (json!({ "user": opaque("ann"), "group": opaque("g") }), User),
        (json!({ "session": opaque("s") }), User),
        (json!({ "device": opaque("d") }), User),
        (json!({ "device": opaque("d"), "group": opaque("g") }), User),
        (json!({ "group": opaque("g") }), Group),
        (json!({ "tenant": opaque("t") }), Tenant),
        (json!({ "tenant": opaque("t"), "group": opaque("g") }), Tenant),
        // A device or session must be known where nobody is named beside it, also within a tenant.
        (json!({ "tenant": opaque("t"), "device": opaque("d") }), User),
        (json!({ "tenant": opaque("t"), "session": opaque("s") }), User),
    ] {
        let subject = complex(members);
        for widest in [User, Group, Tenant, Everyone] {
            let judged = revocations(&event(&subject), &settings(&[spoken_for("corp", IDP)], widest), NOW);
            let expected = if width <= widest { Ok(1) } else { Err(Refused::TooWide(width)) };
            assert_eq!(judged.map(|judged| judged.revocations.len()), expected, "{subject} under {widest:?}");
        }
    }
    let everyone = Whom::all_of(vec![Target::everyone(&spoken_for("corp", IDP).issuer)]).expect("whom");
    assert_eq!(Widest::of(&everyone), Everyone);
    for (word, widest) in [("user", User), ("group", Group), ("tenant", Tenant), ("everyone", Everyone)] {
        assert_eq!(Widest::parse(word), Some(widest));
    }
    assert_eq!(Widest::parse("all"), None);
}

#[test]
fn a_critical_member_that_cannot_be_matched_discards_the_event() {
    let ann = || iss_sub(IDP, "ann");
    for (members, critical, discarded) in [
        (json!({ "user": ann(), "rack": opaque("r") }), "rack", true),
        (json!({ "user": ann(), "rack": opaque("r") }), "tenant", false),
        (json!({ "user": ann(), "org_unit": opaque("o") }), "org_unit", true),
        (json!({ "user": ann(), "device": { "format": "did", "url": "did:x:1" } }), "device", true),
        (json!({ "user": ann(), "device": iss_sub(PARTNER, "d") }), "device", true),
        (json!({ "user": ann(), "device": opaque("d") }), "device", false),
    ] {
        let settings = Settings {
            critical_members: vec![critical.to_owned()],
            ..settings(&[spoken_for("corp", IDP)], Widest::User)
        };
        let judged = revocations(&event(&complex(members.clone())), &settings, NOW).expect("not refused");
        if discarded {
            assert_eq!(judged.revocations, [], "{members}, critical {critical}");
            assert_eq!(judged.unmatched, [Unmatched::CriticalMember(critical.into())], "{members}");
        } else {
            assert_eq!(judged.revocations.len(), 1, "{members}, critical {critical}");
        }
    }
}

#[test]
fn a_subject_of_very_many_names_is_refused() {
    let many = |prefix: &str| aliases(&(0..8).map(|n| opaque(&format!("{prefix}{n}"))).collect::<Vec<_>>());
    let settings = settings(&[spoken_for("corp", IDP)], Widest::User);
    let eight_by_eight = complex(json!({ "user": many("u"), "device": many("d") }));
    let judged = revocations(&event(&eight_by_eight), &settings, NOW).expect("64 is allowed");
    assert_eq!(judged.revocations.len(), 64);
    let by_eight_more = complex(json!({ "user": many("u"), "device": many("d"), "session": many("s") }));
    assert_eq!(revocations(&event(&by_eight_more), &settings, NOW), Err(Refused::TooMany));
}

#[test]
fn a_revocation_says_where_it_came_from_and_when_it_takes_effect() {
    let mut event = event(&iss_sub(IDP, "ann"));
    let at = NOW.minus(std::time::Duration::from_secs(90));
    event.events = vec![
        Event::Happened(happened("urn:x", Detail::None)),
        Event::Verification { state: None },
        Event::Happened(Happened {
            at: Some(at),
            reason_admin: Some("left".into()),
            ..happened("session-revoked", Detail::None)
        }),
    ];
    let settings = Settings {
        rules: told("session-revoked", Action::Reestablish),
        ..settings(&[spoken_for("corp", IDP)], Widest::User)
    };
    let judged = revocations(&event, &settings, NOW).expect("judged");
    assert_eq!(judged.ignored, [Ignored::EventType("urn:x".into())]);
    let [revocation] = judged.revocations.as_slice() else { panic!("{judged:?}") };
    assert_eq!((revocation.mode, revocation.cut_off, revocation.received_at), (Mode::Reestablish, at, NOW));
    assert_eq!((&revocation.reach, revocation.reason.as_deref()), (&Reach::All, Some("left")));
    assert_eq!(
        revocation.origin,
        Origin::Stream {
            stream: "stream".into(),
            jti: "j1".into(),
            txn: Some("t1".into()),
            event: "https://schemas.openid.net/secevent/caep/event-type/session-revoked".into()
        }
    );
}

#[test]
fn an_event_that_is_no_revocation_needs_no_authority() {
    let mut event = event(&iss_sub(PARTNER, "ann"));
    event.events = vec![Event::Verification { state: None }, Event::Happened(happened("urn:x", Detail::None))];
    let judged = revocations(&event, &settings(&[], Widest::User), NOW).expect("not refused");
    assert_eq!(judged, Judged { ignored: vec![Ignored::EventType("urn:x".into())], ..Judged::default() });
}

#[test]
fn a_logout_token_ends_the_session_it_names_else_every_session_of_the_person() {
    let idp = spoken_for("corp", IDP);
    let ahead = NOW.plus(std::time::Duration::from_secs(30));
    for (whose, issued_at, expected, cut_off) in [
        (Whose::Session("s1".into()), Timestamp::from_secs(5), "session s1", Timestamp::from_secs(5)),
        (Whose::User("ann".into()), ahead, "user ann", NOW),
    ] {
        let token = LogoutToken { jti: "j1".into(), issued_at, whose };
        let revocation = logout(&token, &idp, NOW).expect("revocation");
        assert_eq!((revocation.whom.to_string().as_str(), revocation.cut_off), (expected, cut_off));
        assert_eq!(revocation.origin, Origin::BackChannel { idp: "corp".into(), jti: "j1".into() });
        assert_eq!(revocation.mode, Mode::Terminate);
    }
}

#[test]
fn a_refusal_is_answered_as_access_denied() {
    for refused in [Refused::Issuer, Refused::TooWide(Widest::Tenant), Refused::TooMany] {
        assert_eq!(Answer::from(refused).code, Code::AccessDenied);
    }
}

/// A subject of random form: well-formed often enough to be interesting, else not.
fn random_subject(random: &mut Xorshift, depth: usize) -> Value {
    let issuer = *random.one_of(&[IDP, PARTNER, "https://stranger.example.com", "", "x"]);
    let word = *random.one_of(&["ann", "bob@corp.com", "corp-client", "partner-client", "+12065550123", "a@b@c", ""]);
    match random.below(if depth == 0 { 12 } else { 8 }) {
        0 | 1 => opaque(word),
        2 => iss_sub(issuer, word),
        3 => email(word),
        4 => json!({ "format": "phone_number", "phone_number": word }),
        5 => {
            json!({ "format": *random.one_of(&["did", "uri", "account", "jwt_id", "new", "complex", ""]), "uri": word })
        }
        6 => json!([word]),
        7 => aliases(&(0..random.below(4)).map(|_| random_subject(random, depth + 1)).collect::<Vec<_>>()),
        _ => {
            let mut members = json!({});
            for _ in 0..random.below(5) {
                let roles = ["user", "user", "device", "session", "application", "tenant", "group", "org_unit", "rack"];
                members[*random.one_of(&roles)] = random_subject(random, depth + 1);
            }
            complex(members)
        }
    }
}

#[test]
fn no_subject_reaches_beyond_the_authority_of_its_stream_or_vanishes_silently() {
    let seed = 0x5eed_0051_674a_15c7;
    println!("seed {seed:#x}");
    let mut random = Xorshift(seed);
    let idps = [spoken_for("corp", IDP), spoken_for("partner", PARTNER)];
    let (mut enforced, mut refused, mut malformed) = (0, 0, 0);
    for round in 0..50_000 {
        let subject = random_subject(&mut random, 0);
        let Ok(parsed) = Subject::parse(&subject, &Quirks::NONE) else {
            malformed += 1;
            continue;
        };
        let widest = *random.one_of(&[Widest::User, Widest::Group, Widest::Tenant]);
        let critical = if random.below(4) == 0 { vec!["rack".to_owned(), "user".to_owned()] } else { vec![] };
        let settings = Settings { critical_members: critical, ..settings(&idps[..=random.below(2)], widest) };
        let event = SecurityEvent { subject: parsed, ..event(&opaque("x")) };
        match revocations(&event, &settings, NOW) {
            Err(_) => refused += 1,
            Ok(judged) => {
                enforced += judged.revocations.len();
                let said = judged.revocations.len() + judged.unmatched.len() + judged.ignored.len();
                assert!(said > 0, "round {round}: nothing is said about {subject}");
                for revocation in &judged.revocations {
                    let targets = revocation.whom.targets();
                    let issuer = &targets[0].issuer;
                    assert!(targets.iter().all(|target| target.issuer == *issuer), "round {round}: {subject}");
                    assert!(settings.speaks_for.iter().any(|idp| idp.issuer == *issuer), "round {round}: {subject}");
                    assert!(Widest::of(&revocation.whom) <= widest, "round {round}: {subject}");
                }
            }
        }
    }
    // The generator reaches every branch, or the assertions above mean little.
    assert!(enforced > 1000 && refused > 1000 && malformed > 1000, "{enforced} {refused} {malformed}");
}

#[test]
fn an_issuer_goes_by_another_name_only_where_the_config_or_the_preset_says_so() {
    let legacy = "https://idp.example.com/legacy";
    let alias =
        |named: &str, issuer: &str| IssuerAlias { named: named.into(), issuer: Issuer::parse(issuer).expect("issuer") };
    let org = "https://org.okta.example";
    let server = "https://org.okta.example/oauth2/default";
    let idps = [spoken_for("corp", IDP), spoken_for("okta", server)];
    for (name, subject, aliases, quirks, expected) in [
        ("no alias", iss_sub(legacy, "ann"), vec![], Quirks::NONE, Err(Refused::Issuer)),
        ("an alias", iss_sub(legacy, "ann"), vec![alias(legacy, IDP)], Quirks::NONE, Ok(vec!["user ann"])),
        (
            "the issuer itself still counts",
            iss_sub(IDP, "ann"),
            vec![alias(legacy, IDP)],
            Quirks::NONE,
            Ok(vec!["user ann"]),
        ),
        (
            "an alias with a slash",
            iss_sub(legacy, "ann"),
            vec![alias("https://idp.example.com/legacy/", IDP)],
            Quirks::NONE,
            Err(Refused::Issuer),
        ),
        (
            "an alias of two IdPs",
            iss_sub(legacy, "ann"),
            vec![alias(legacy, IDP), alias(legacy, server)],
            Quirks::NONE,
            Ok(vec!["user ann", "user ann @partner"]),
        ),
        (
            "an alias of an IdP that is not spoken for",
            iss_sub(legacy, "ann"),
            vec![alias(legacy, PARTNER)],
            Quirks::NONE,
            Err(Refused::Issuer),
        ),
        ("an organisation, strictly", iss_sub(org, "ann"), vec![], Quirks::NONE, Err(Refused::Issuer)),
        (
            "an organisation, by preset",
            iss_sub(org, "ann"),
            vec![],
            Preset::Okta.quirks(),
            Ok(vec!["user ann @partner"]),
        ),
        (
            "an organisation of another product",
            iss_sub(org, "ann"),
            vec![],
            Preset::GoogleRisc.quirks(),
            Err(Refused::Issuer),
        ),
    ] {
        let settings = Settings { subject_issuers: aliases, quirks, ..settings(&idps, Widest::User) };
        let judged = revocations(&event(&subject), &settings, NOW);
        assert_eq!(
            judged.as_ref().map(whoms).map_err(|why| *why),
            expected.map(|w| w.into_iter().map(str::to_owned).collect()),
            "{name}"
        );
    }
}

/// What one event comes to: what is done to whom, as `mode whom` or `lift whom`; else what is said about it.
fn comes_to(of: Happened, subject: &Value, settings: &Settings) -> String {
    let event = SecurityEvent { events: vec![Event::Happened(of)], ..event(subject) };
    let judged = match revocations(&event, settings, NOW) {
        Ok(judged) => judged,
        Err(refused) => return format!("refused: {refused}"),
    };
    let revoked = judged.revocations.iter().map(|one| format!("{} {}", one.mode.word(), one.whom));
    let lifted = judged.lifts.iter().map(|one| format!("lift {}", one.whom));
    let said = judged.unmatched.iter().map(|why| format!("unmatched: {why}"));
    let said = said.chain(judged.ignored.iter().map(|why| format!("ignored: {why}")));
    revoked.chain(lifted).chain(said).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_simple_subject_is_what_the_event_is_about() {
    let tenant_wide = settings(&[spoken_for("corp", IDP)], Widest::Tenant);
    let risk = |principal: &str| Detail::Risk { principal: principal.into(), level: caep::Level::High };
    let broken = Detail::Compliance(caep::Compliance::NotCompliant);
    let well = Detail::Compliance(caep::Compliance::Compliant);
    for (of, detail, subject, expected) in [
        ("session-revoked", Detail::None, opaque("x"), "terminate session x"),
        ("session-revoked", Detail::None, iss_sub(IDP, "x"), "terminate user x"),
        ("sessions-revoked", Detail::None, opaque("x"), "terminate user x"),
        ("account-disabled", Detail::None, opaque("x"), "hold user x"),
        ("account-disabled", Detail::None, email("x@a.org"), "hold email x@a.org"),
        ("account-enabled", Detail::None, opaque("x"), "lift user x"),
        ("identifier-changed", Detail::None, email("x@a.org"), "reestablish email x@a.org"),
        ("identifier-recycled", Detail::None, email("x@a.org"), "terminate email x@a.org"),
        ("device-compliance-change", broken.clone(), iss_sub(IDP, "d"), "hold device d"),
        ("device-compliance-change", well, opaque("d"), "lift device d"),
        (
            "device-compliance-change",
            broken,
            json!({ "format": "complex", "device": opaque("d"), "tenant": opaque("t") }),
            "hold device d and tenant t",
        ),
        ("risk-level-change", risk("USER"), opaque("x"), "reestablish user x"),
        ("risk-level-change", risk("DEVICE"), opaque("x"), "reestablish device x"),
        ("risk-level-change", risk("SESSION"), opaque("x"), "reestablish session x"),
        ("risk-level-change", risk("TENANT"), opaque("x"), "reestablish tenant x"),
        ("risk-level-change", risk("GROUP"), opaque("x"), "reestablish group x"),
        (
            "risk-level-change",
            risk("ORG_UNIT"),
            opaque("x"),
            "unmatched: no identity here has a `org_unit` in the form `opaque`",
        ),
        (
            "risk-level-change",
            risk("SHIP"),
            opaque("x"),
            "unmatched: no identity here has a `principal` in the form `opaque`",
        ),
        ("prov:deactivate", Detail::None, json!({ "format": "scim", "externalId": "x" }), "hold user x"),
        (
            "prov:delete",
            Detail::None,
            json!({ "format": "scim", "uri": "/Users/1" }),
            "unmatched: no identity here has a `user` in the form `scim`",
        ),
        (
            "token-claims-change",
            Detail::None,
            json!({ "format": "jwt_id", "iss": IDP, "jti": "j" }),
            "unmatched: no identity here has a `session` in the form `jwt_id`",
        ),
        ("session-presented", Detail::None, opaque("x"), "ignored: `session-presented` does nothing here"),
        ("opt-out-effective", Detail::None, opaque("x"), "ignored: the transmitter says no more about this person"),
        ("urn:x", Detail::None, opaque("x"), "ignored: the event type `urn:x` is not known here"),
    ] {
        assert_eq!(comes_to(happened(of, detail), &subject, &tenant_wide), expected, "{of} {subject}");
    }
}

#[test]
fn what_a_stream_may_not_say_is_refused_and_what_reaches_too_wide_also_where_it_lifts() {
    let free = settings(&[spoken_for("corp", IDP)], Widest::User);
    let few = Settings { allowed_events: Some(vec![Type::named("session-revoked")]), ..free.clone() };
    let tenant = json!({ "format": "complex", "tenant": opaque("t") });
    for (of, subject, settings, expected) in [
        ("session-revoked", opaque("x"), &few, "terminate session x"),
        ("account-disabled", opaque("x"), &few, "refused: the stream may not send events of this type"),
        // What does nothing is no error (RFC 8935 §2): a transmitter that is refused may stop altogether.
        ("session-presented", opaque("x"), &few, "ignored: `session-presented` does nothing here"),
        ("urn:x", opaque("x"), &few, "ignored: the event type `urn:x` is not known here"),
        ("account-enabled", tenant.clone(), &free, "refused: the stream may not use a subject this wide"),
        ("account-disabled", tenant, &free, "refused: the stream may not use a subject this wide"),
        (
            "account-enabled",
            iss_sub(PARTNER, "x"),
            &free,
            "refused: the stream does not speak for the issuer of the subject",
        ),
    ] {
        assert_eq!(comes_to(happened(of, Detail::None), &subject, settings), expected, "{of} {subject}");
    }
    let by_mail = Settings { scim_external_id: TargetKind::Email, ..free };
    let subject = json!({ "format": "scim", "externalId": "x@a.org" });
    assert_eq!(comes_to(happened("prov:deactivate", Detail::None), &subject, &by_mail), "hold email x@a.org");
}

#[test]
fn a_group_that_is_deprovisioned_is_nobody_whatever_it_is_called() {
    let settings = settings(&[spoken_for("corp", IDP)], Widest::Everyone);
    let nobody = "unmatched: no identity here has a `user` in the form `scim`";
    for (uri, expected) in [
        (Some("/Users/2819c223"), "hold user x"),
        (Some("https://idp.example.com/scim/v2/Users/2819c223"), "hold user x"),
        (Some("/users/2819c223/"), "hold user x"),
        (None, "hold user x"),
        (Some("/Groups/e9e30dba"), nobody),
        (Some("/v2/Groups/Users"), nobody),
        (Some("2819c223"), nobody),
    ] {
        let mut subject = json!({ "format": "scim", "externalId": "x" });
        if let Some(uri) = uri {
            subject["uri"] = json!(uri);
        }
        assert_eq!(comes_to(happened("prov:delete", Detail::None), &subject, &settings), expected, "{uri:?}");
    }
}

#[test]
fn signing_out_in_one_browser_may_ask_the_idp_and_an_ended_session_is_ended() {
    let rule = Rule { by_user: Some(Action::Reestablish), ..Rule::default() };
    let rules: Rules = [(Type::SessionRevoked, rule)].into_iter().collect();
    let settings = Settings { rules, ..settings(&[spoken_for("corp", IDP)], Widest::User) };
    let by_user =
        Happened { initiating_entity: Some(caep::Initiator::User), ..happened("session-revoked", Detail::None) };
    for (subject, expected) in [
        (iss_sub(IDP, "ann"), "reestablish user ann"),
        (aliases(&[iss_sub(IDP, "ann")]), "reestablish user ann"),
        (complex(json!({ "user": opaque("ann"), "tenant": opaque("t") })), "reestablish user ann and tenant t"),
        (opaque("s1"), "terminate session s1"),
        (aliases(&[opaque("s1")]), "terminate session s1"),
        (complex(json!({ "user": opaque("ann"), "session": opaque("s1") })), "terminate user ann and session s1"),
        (complex(json!({ "user": opaque("ann"), "device": opaque("d") })), "terminate user ann and device d"),
    ] {
        assert_eq!(comes_to(by_user.clone(), &subject, &settings), expected, "{subject}");
    }
}
