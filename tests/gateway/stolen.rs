//! A stream in the wrong hands: whoever has everything of tenant B's transmitter (its keys, its push token, its stream, its
//! IdP) reaches nobody of tenant A, nobody beyond one person, and no app but B's (law 7). The people of both tenants have
//! the same names, the same `sub`s and the same addresses; only who says so differs.

use std::collections::BTreeSet;

use portcullis::demo::transmitter::Order;
use serde_json::{Value, json};

use crate::cut::opens_websocket;
use crate::harness::backend::Seen;
use crate::harness::{
    AUDIENCE, Ask, Backend, Browser, House, NEIGHBOURS_AUDIENCE, Plan, Reply, SESSION_REVOKED, Wire, ok,
};

const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SIGNALS: &str = "claims = { device = \"device_id\", tenant = \"tenant\" }\nglobal_revocation = {}\n\
    frontchannel_logout = true";

/// Tenant A is the usual house; B is the neighbour, with a stream of the least authority.
fn plan() -> Plan {
    Plan::default().with_neighbour().idp(SIGNALS).stream("widest = \"everyone\"").more(&format!(
        r#"[idps.neighbour]
issuer = "@neighbour@"
client_id = "portcullis"
client_secret_file = "neighbour.secret"
{SIGNALS}
[streams.neighbour]
issuer = "@neighbour@"
audience = "{NEIGHBOURS_AUDIENCE}"
push_token_file = "neighbour.push"
speaks_for = ["neighbour"]
widest = "user"
[apps.wiki]
url = "http://127.0.0.1:@port@"
upstreams = ["http://@backend@"]
idp = "neighbour"
"#
    ))
}

/// Everybody who can be hit.
struct Town {
    house: House,
    /// Of tenant A.
    ann: Browser,
    ben: Browser,
    /// Ann's, open since before everything.
    socket: Wire,
    /// Of tenant B; her name is the same.
    other_ann: Browser,
    /// What A's IdP calls the session of A's ann.
    sid: String,
}

/// What an attempt should come to.
struct Expected {
    status: u16,
    /// `err` or `error` of the answer; empty for none.
    error: &'static str,
    /// B's own ann is out, as B may say.
    hits_own: bool,
    /// Counted as a subject that nobody here can be.
    unmatched: u64,
}

const fn refused(error: &'static str) -> Expected {
    Expected { status: 400, error, hits_own: false, unmatched: 0 }
}

const fn accepted(hits_own: bool, unmatched: u64) -> Expected {
    Expected { status: 202, error: "", hits_own, unmatched }
}

impl Town {
    async fn new(plan: Plan) -> Self {
        let house = House::of(plan).await;
        house.backend.does(|seen| match seen.target.as_str() {
            "/ws" => Reply::Echo(SWITCHED.to_vec()),
            _ => ok("hello from the app"),
        });
        house.idp_says("ann", &json!({ "device_id": "laptop-7", "tenant": "a" }));
        house.idp_says("ben", &json!({ "email": "ben@a.example" }));
        let (ann, ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
        let socket = opens_websocket(&house, &ann).await;
        let other_ann = house.browser_of_neighbours("ann").await;
        let sid = house.demo.idp.sessions().into_iter().find(|session| session.user == "ann").expect("a session").sid;
        Self { house, ann, ben, socket, other_ann, sid }
    }

    /// Claims of B's, with changes.
    fn claims(&self, change: &Value) -> Value {
        let now = self.house.clock.now();
        let mut claims = json!({
            "iss": self.house.neighbour().issuer, "aud": NEIGHBOURS_AUDIENCE, "iat": now,
            "jti": format!("b-{}", now.secs()), "events": { SESSION_REVOKED: { "event_timestamp": now } },
        });
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }

    /// A SET of B's about `subject`.
    fn set(&self, subject: &Value) -> String {
        self.changed_set(&json!({ "sub_id": subject }))
    }

    fn changed_set(&self, change: &Value) -> String {
        self.house.neighbour().idp.sign(Some("secevent+jwt"), &self.claims(change)).expect("a SET")
    }

    /// How B pushes.
    fn push(&self, set: &str) -> Ask {
        self.push_to("neighbour", self.house.neighbour().push_token.expose(), set)
    }

    fn push_to(&self, stream: &str, token: &str, set: &str) -> Ask {
        Ask::post(&format!("/oauth2/ssf/{stream}"), "application/secevent+jwt", set)
            .with("Authorization", &format!("Bearer {token}"))
    }

    /// Tries it: what is answered, counted and written down, and who is still here.
    async fn suffers(&mut self, what: &str, ask: &Ask, expected: &Expected) {
        let unmatched = "portcullis_unmatched_subject_total";
        let before = (self.house.metric(unmatched).await, self.rejected().await);
        let answer = self.house.asks(ask).await;
        let body = answer.json();
        let error = body["err"].as_str().or_else(|| body["error"].as_str()).unwrap_or_default();
        assert_eq!((answer.status, error), (expected.status, expected.error), "{what}: {}", answer.text());
        let counted = (self.house.metric(unmatched).await - before.0, self.rejected().await - before.1);
        let refused = u64::from(answer.status >= 400);
        assert_eq!(counted, (expected.unmatched, refused), "{what}: unmatched and rejected");
        for (name, browser) in [("ann", &mut self.ann), ("ben", &mut self.ben)] {
            let page = browser.fetches("/").await.answer;
            assert_eq!(page.status, 200, "{what}: {name} of A is out: {}", page.text());
        }
        self.socket.send(what.as_bytes()).await;
        assert!(self.socket.hears(what).await, "{what}: the WebSocket of A's ann is cut");
        let page = self.other_ann.fetches("/").await.answer;
        assert_eq!(page.status, if expected.hits_own { 401 } else { 200 }, "{what}: ann of B: {}", page.text());
        if expected.hits_own {
            self.house.seconds_pass(1);
            self.other_ann.signs_in("ann").await.is_let_in();
        }
    }

    /// How many signals were refused, whatever for.
    async fn rejected(&self) -> u64 {
        let text = self.house.operator(Ask::get("/metrics")).await.text();
        let lines = text.lines().filter(|line| line.starts_with("portcullis_set_rejected_total{"));
        lines.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number")).sum()
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one list of everything that was tried")]
async fn a_stolen_stream_of_one_tenant_reaches_nobody_of_another() {
    let mut town = Town::new(plan()).await;
    let (a, b) = (town.house.demo.issuer.as_str().to_owned(), town.house.neighbour().issuer.as_str().to_owned());
    let as_token = town.house.demo.push_token.expose().clone();
    let sub = |issuer: &str| json!({ "format": "iss_sub", "iss": issuer, "sub": "00u-ann" });
    let opaque = |id: &str| json!({ "format": "opaque", "id": id });
    let email = |address: &str| json!({ "format": "email", "email": address });
    let aliases = |names: &[Value]| json!({ "format": "aliases", "identifiers": names });
    let complex = |members: Value| {
        let mut subject = members;
        subject["format"] = json!("complex");
        subject
    };
    let sid = town.sid.clone();

    // What B's own transmitter says on its own stream: the subject decides.
    for (what, subject, expected) in [
        ("A's person by issuer and sub", sub(&a), refused("access_denied")),
        ("A's person by an address that B's people have, too", email("ann@example.com"), accepted(true, 0)),
        ("A's person by an address that only A has", email("ben@a.example"), accepted(false, 0)),
        ("B's own person, whose sub A's has, too", sub(&b), accepted(true, 0)),
        ("A's session", opaque(&sid), accepted(false, 0)),
        ("A's session, said to be a person", complex(json!({ "user": opaque(&sid) })), accepted(false, 0)),
        ("A's session of B's person", complex(json!({ "user": sub(&b), "session": opaque(&sid) })), accepted(false, 0)),
        (
            "A's session, named by A, of B's person",
            complex(json!({ "user": sub(&b), "session": { "format": "iss_sub", "iss": a, "sub": sid } })),
            accepted(true, 1),
        ),
        (
            "A's person in B's session",
            complex(json!({ "user": sub(&a), "session": opaque("s") })),
            refused("access_denied"),
        ),
        ("A's person and B's as aliases", aliases(&[sub(&a), sub(&b)]), accepted(true, 0)),
        ("A's person and A's address as aliases", aliases(&[sub(&a), email("ben@a.example")]), accepted(false, 0)),
        ("A's people as aliases only", aliases(&[sub(&a), sub(&a)]), refused("access_denied")),
        ("A's device", complex(json!({ "device": opaque("laptop-7") })), accepted(false, 0)),
        (
            "A's device, named by A",
            complex(json!({ "device": { "format": "iss_sub", "iss": a, "sub": "laptop-7" } })),
            refused("access_denied"),
        ),
        ("a group", complex(json!({ "group": opaque("staff") })), refused("access_denied")),
        (
            "A's group",
            complex(json!({ "group": { "format": "iss_sub", "iss": a, "sub": "staff" } })),
            refused("access_denied"),
        ),
        ("a tenant", complex(json!({ "tenant": opaque("a") })), refused("access_denied")),
        (
            "a tenant and a group",
            complex(json!({ "tenant": opaque("a"), "group": opaque("staff") })),
            refused("access_denied"),
        ),
        (
            "a tenant and a device",
            complex(json!({ "tenant": opaque("a"), "device": opaque("laptop-7") })),
            accepted(false, 0),
        ),
        ("A's tenant with B's person", complex(json!({ "tenant": opaque("a"), "user": sub(&b) })), accepted(false, 0)),
        ("everybody, by a format of its own", json!({ "format": "everyone" }), accepted(false, 1)),
        ("everybody, by a star", complex(json!({ "user": opaque("*") })), accepted(false, 0)),
        ("everybody, by an address with a star", email("*@example.com"), accepted(false, 0)),
        ("everybody, by the issuer's name", json!({ "format": "uri", "uri": b }), accepted(false, 1)),
        ("everybody, by an organisational unit", complex(json!({ "org_unit": opaque("*") })), accepted(false, 1)),
        ("everybody, by the application", complex(json!({ "application": opaque("portcullis") })), accepted(false, 1)),
        (
            "everybody from an address",
            json!({ "format": "ip-addresses", "ip-addresses": ["127.0.0.1"] }),
            accepted(false, 1),
        ),
        ("everybody, by a member that nobody knows", complex(json!({ "everyone": opaque("*") })), accepted(false, 1)),
        (
            "B's person in another application",
            complex(json!({ "user": sub(&b), "application": opaque("payroll") })),
            accepted(false, 0),
        ),
        (
            "B's person in an application of A",
            complex(json!({ "user": sub(&b), "application": { "format": "iss_sub", "iss": a, "sub": "portcullis" } })),
            accepted(false, 0),
        ),
        ("a token of A", json!({ "format": "jwt_id", "iss": a, "jti": "j" }), accepted(false, 1)),
    ] {
        town.house.seconds_pass(1);
        let ask = town.push(&town.set(&subject));
        town.suffers(what, &ask, &expected).await;
    }

    // Who says it, where, and to whom.
    town.house.seconds_pass(1);
    let about_ann = json!({ "sub_id": sub(&a) });
    let own = town.set(&sub(&b));
    let as_set = town.house.revoking_set(&sub(&a));
    let forged = town.changed_set(&json!({ "iss": a, "aud": AUDIENCE, "sub_id": sub(&a) }));
    let with_jku = {
        let header = json!({ "alg": "ES256", "kid": "key-1", "typ": "secevent+jwt", "jku": format!("{b}/jwks") });
        let claims = town.claims(&json!({ "iss": a, "aud": AUDIENCE, "sub_id": sub(&a) }));
        town.house.neighbour().idp.sign_texts(&header.to_string(), &claims.to_string()).expect("a SET")
    };
    let bs_token = town.house.neighbour().push_token.expose().clone();
    for (what, ask, expected) in [
        (
            "its own SET on A's stream with its own secret",
            town.push_to("demo", &bs_token, &own),
            refused("authentication_failed"),
        ),
        ("its own SET on A's stream with A's secret", town.push_to("demo", &as_token, &own), refused("invalid_key")),
        ("a SET in A's name, with its own keys", town.push_to("demo", &as_token, &forged), refused("invalid_key")),
        ("the same with the way to its keys", town.push_to("demo", &as_token, &with_jku), refused("invalid_key")),
        ("a SET in A's name on its own stream", town.push(&forged), refused("invalid_issuer")),
        ("A's own SET, captured, on its own stream", town.push(&as_set), refused("invalid_key")),
        (
            "A's own SET, captured, with the wrong secret",
            town.push_to("demo", &bs_token, &as_set),
            refused("authentication_failed"),
        ),
        ("A's secret on its own stream", town.push_to("neighbour", &as_token, &own), refused("authentication_failed")),
        (
            "both secrets at once",
            town.push_to("demo", &bs_token, &own).with("Authorization", &format!("Bearer {as_token}")),
            refused("authentication_failed"),
        ),
        (
            "A's audience",
            town.push(&town.changed_set(&json!({ "aud": AUDIENCE, "sub_id": sub(&b) }))),
            refused("invalid_audience"),
        ),
        (
            "both audiences, about A's person",
            town.push(&town.changed_set(&json!({ "aud": [AUDIENCE, NEIGHBOURS_AUDIENCE], "sub_id": sub(&a) }))),
            refused("access_denied"),
        ),
        (
            "A's person inside the event, B's outside",
            town.push(&town.changed_set(&json!({
                "sub_id": sub(&b), "events": { SESSION_REVOKED: { "subject": about_ann["sub_id"] } },
            }))),
            accepted(true, 0),
        ),
    ] {
        town.suffers(what, &ask, &expected).await;
    }
    let audited = town.house.writes_down(&["\"stream\":\"neighbour\"", "access_denied: ", "invalid_issuer: "]).await;
    let of_a = audited.lines().filter(|line| line.contains("\"event\":\"revoked\"") && !line.contains("neighbour"));
    assert_eq!(of_a.count(), 0, "nothing of A's was revoked");
    let (refusals, counted) = (audited.matches("\"event\":\"signal_rejected\"").count(), town.rejected().await);
    assert_eq!(refusals as u64, counted, "each refusal is written down");
}

#[tokio::test]
async fn what_else_an_idp_can_send_reaches_nobody_of_another_tenant() {
    let mut town = Town::new(plan()).await;
    let (a, b) = (town.house.demo.issuer.as_str().to_owned(), town.house.neighbour().issuer.as_str().to_owned());
    town.house.seconds_pass(1);
    let now = town.house.clock.now().secs();
    let sid = town.sid.clone();
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let form =
        |path: &str, token: &str| Ask::post(path, "application/x-www-form-urlencoded", format!("logout_token={token}"));
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let logout = |issuer: &str, change: Value| {
        let mut claims = json!({
            "iss": issuer, "aud": "portcullis", "iat": now, "exp": now + 120, "jti": format!("l{change}"), "events": event,
        });
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        town.house.neighbour().idp.sign(Some("logout+jwt"), &claims).expect("a token")
    };
    let revoker = |issuer: &str, at: &str, origin: &str| {
        let claims = json!({
            "iss": issuer, "sub": "portcullis", "aud": format!("{origin}/oauth2/global-token-revocation/{at}"),
            "jti": format!("{issuer}{at}{origin}"), "iat": now, "nbf": now - 300, "exp": now + 300,
        });
        town.house.neighbour().idp.sign(Some("global-token-revocation+jwt"), &claims).expect("a token")
    };
    // Every endpoint is on every host; the one that is asked is payroll's.
    let origin = town.house.origin();
    let global = |at: &str, token: &str, subject: Value| {
        let body = json!({ "sub_id": subject }).to_string();
        Ask::post(&format!("/oauth2/global-token-revocation/{at}"), "application/json", body)
            .with("Authorization", &format!("Bearer {token}"))
    };
    let (at_a, at_b) = ("/oauth2/backchannel-logout/demo", "/oauth2/backchannel-logout/neighbour");
    let sub = json!({ "format": "iss_sub", "iss": a, "sub": "00u-ann" });
    let is = |status, error, hits_own| Expected { status, error, hits_own, unmatched: 0 };
    let front = |query: String| Ask::get(&format!("/oauth2/frontchannel-logout/{query}"));
    for (what, ask, expected) in [
        (
            "its logout token at A",
            form(at_a, &logout(&b, json!({ "sub": "00u-ann" }))),
            is(400, "invalid_request", false),
        ),
        (
            "a logout token in A's name at A",
            form(at_a, &logout(&a, json!({ "sub": "00u-ann" }))),
            is(400, "invalid_request", false),
        ),
        (
            "a logout token in A's name",
            form(at_b, &logout(&a, json!({ "sub": "00u-ann" }))),
            is(400, "invalid_request", false),
        ),
        ("A's session in its logout token", form(at_b, &logout(&b, json!({ "sid": sid }))), is(200, "", false)),
        ("its own person in its logout token", form(at_b, &logout(&b, json!({ "sub": "00u-ann" }))), is(200, "", true)),
        ("a SET as a logout token", form(at_b, &town.set(&sub)), is(400, "invalid_request", false)),
        ("A's session in its frame", front(format!("neighbour?sid={sid}")), is(200, "", false)),
        ("the same in its own name", front(format!("neighbour?sid={sid}&iss={}", encoded(&b))), is(200, "", false)),
        (
            "its global revocation at A",
            global("demo", &revoker(&b, "demo", &origin), sub.clone()),
            is(401, "invalid_token", false),
        ),
        (
            "one in A's name at A",
            global("demo", &revoker(&a, "demo", &origin), sub.clone()),
            is(401, "invalid_token", false),
        ),
        (
            "one that was meant for itself, at A",
            global("demo", &revoker(&b, "neighbour", &origin), sub.clone()),
            is(401, "invalid_token", false),
        ),
        (
            "A's person in its own",
            global("neighbour", &revoker(&b, "neighbour", &origin), sub),
            is(403, "insufficient_scope", false),
        ),
    ] {
        town.suffers(what, &ask, &expected).await;
    }
    for (what, subject, hits_own) in [
        ("A's address in its global revocation", json!({ "format": "email", "email": "ben@a.example" }), false),
        ("an address of both in its global revocation", json!({ "format": "email", "email": "ann@example.com" }), true),
    ] {
        town.house.seconds_pass(1);
        let now = town.house.clock.now().secs();
        let claims = json!({
            "iss": b, "sub": "portcullis", "aud": format!("{origin}/oauth2/global-token-revocation/neighbour"),
            "jti": what, "iat": now, "nbf": now - 300, "exp": now + 300,
        });
        let token = town.house.neighbour().idp.sign(Some("global-token-revocation+jwt"), &claims).expect("a token");
        let body = json!({ "sub_id": subject }).to_string();
        let ask = Ask::post("/oauth2/global-token-revocation/neighbour", "application/json", body)
            .with("Authorization", &format!("Bearer {token}"));
        town.suffers(what, &ask, &is(204, "", hits_own)).await;
    }
}

#[tokio::test]
async fn events_that_are_fetched_reach_no_further_than_pushed_ones() {
    let transmitter = Backend::start().await;
    let polled = format!(
        r#"[idps.neighbour]
issuer = "@neighbour@"
client_id = "portcullis"
client_secret_file = "neighbour.secret"
[streams.polled]
issuer = "@neighbour@"
audience = "{NEIGHBOURS_AUDIENCE}"
delivery = "poll"
poll_url = "http://{}/poll"
poll_token = "polls-only"
speaks_for = ["neighbour"]
[apps.wiki]
url = "http://127.0.0.1:@port@"
upstreams = ["http://@backend@"]
idp = "neighbour"
"#,
        transmitter.address()
    );
    let mut town = Town::new(Plan::default().with_neighbour().more(&polled)).await;
    town.house.seconds_pass(1);
    let a = town.house.demo.issuer.as_str().to_owned();
    let sub = json!({ "format": "iss_sub", "iss": a, "sub": "00u-ann" });
    let group = json!({ "format": "complex", "group": { "format": "opaque", "id": "staff" } });
    let sets = json!({ "sets": {
        "1": town.changed_set(&json!({ "jti": "1", "sub_id": sub })),
        "2": town.changed_set(&json!({ "jti": "2", "sub_id": group })),
        "3": town.changed_set(&json!({ "jti": "3", "iss": a, "sub_id": sub })),
        "4": town.changed_set(&json!({ "jti": "4", "aud": AUDIENCE, "sub_id": sub })),
        "5": town.house.demo.idp.set(&json!({ "jti": "5", "aud": NEIGHBOURS_AUDIENCE, "sub_id": sub, "events": { SESSION_REVOKED: {} } })).expect("a SET"),
    } });
    transmitter.says(ok(&sets.to_string()));
    let told = |seen: &Seen| -> Value {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        body["setErrs"].clone()
    };
    transmitter.sees("all five refused", |log| log.iter().any(|seen| told(seen)["5"].is_object())).await;
    let log = transmitter.seen();
    let errors = log.iter().map(told).find(|errors| errors["5"].is_object()).expect("just seen");
    let codes = ["1", "2", "3", "4", "5"].map(|jti| errors[jti]["err"].as_str().unwrap_or_default());
    assert_eq!(codes, ["access_denied", "access_denied", "invalid_issuer", "invalid_audience", "invalid_key"]);
    for browser in [&mut town.ann, &mut town.ben, &mut town.other_ann] {
        assert_eq!(browser.fetches("/").await.answer.status, 200);
    }
    town.socket.send(b"still here").await;
    town.socket.until("still here").await;
}

/// The usual house's stream, bounded by `bounds`, and a second app of the same IdP on the other host.
async fn bounded(bounds: &str) -> House {
    let wiki = "[apps.wiki]\nurl = \"http://127.0.0.1:@port@\"\nupstreams = [\"http://@backend@\"]\nidp = \"demo\"";
    let house = House::of(Plan::default().idp(SIGNALS).stream(bounds).more(wiki)).await;
    house.idp_says("ann", &json!({ "email": "ann@corp.example", "tenant": "a" }));
    house.idp_says("ben", &json!({ "email": "ben@other.example", "tenant": "b" }));
    house
}

/// A browser of `user`, signed in to both apps.
async fn in_both_apps(house: &House, user: &str) -> Browser {
    let mut browser = house.browser_of(user).await;
    browser.at(&format!("http://{}", house.other_host()));
    browser.signs_in(user).await.is_let_in();
    browser
}

#[tokio::test]
async fn a_bounded_stream_reaches_its_domains_tenants_and_apps_and_nothing_beyond() {
    let email = |address: &str| json!({ "format": "email", "email": address });
    let opaque = |id: &str| json!({ "format": "opaque", "id": id });
    let person = |user: &str| json!({ "format": "complex", "user": opaque(&format!("00u-{user}")) });
    let of_tenant = |user: &str, tenant: &str| json!({ "format": "complex", "user": opaque(&format!("00u-{user}")), "tenant": opaque(tenant) });
    let whole = |tenant: &str| json!({ "format": "complex", "tenant": opaque(tenant) });
    let both = json!({ "format": "aliases", "identifiers": [email("ben@other.example"), email("ann@corp.example")] });
    let (domains, tenants, apps) = ("email_domains = [\"corp.example\"]", "tenants = [\"a\"]", "apps = [\"wiki\"]");
    let widest = "tenants = [\"a\"]\nwidest = \"everyone\"";
    // Bounds, a subject, the code that it is refused with, and who is out: in payroll, in wiki.
    let (nobody, ann, ben) = (["", ""], ["ann", "ann"], ["ben", "ben"]);
    for (bounds, subject, code, out) in [
        (domains, email("ann@corp.example"), "", ann),
        (domains, email("ANN@Corp.Example"), "", ann),
        (domains, email("ben@other.example"), "access_denied", nobody),
        (domains, email("ann@corp.example.evil.example"), "access_denied", nobody),
        (domains, email("ann@evilcorp.example"), "access_denied", nobody),
        (domains, email("ann@other.example@corp.example"), "", nobody),
        (domains, both, "", ann),
        // Whoever has no address in the subject is bounded by no domain.
        (domains, person("ben"), "", ben),
        (tenants, person("ann"), "", ann),
        (tenants, person("ben"), "", nobody),
        (tenants, email("ben@other.example"), "", nobody),
        (tenants, of_tenant("ann", "a"), "", ann),
        (tenants, of_tenant("ben", "b"), "access_denied", nobody),
        (tenants, of_tenant("ben", "a"), "", nobody),
        (tenants, whole("a"), "access_denied", nobody),
        (widest, whole("a"), "", ann),
        (widest, whole("b"), "access_denied", nobody),
        (widest, whole("A"), "access_denied", nobody),
        (apps, person("ann"), "", ["", "ann"]),
        (apps, email("ben@other.example"), "", ["", "ben"]),
    ] {
        let house = bounded(bounds).await;
        let mut people = [("ann", in_both_apps(&house, "ann").await), ("ben", in_both_apps(&house, "ben").await)];
        house.seconds_pass(1);
        let answer = house.pushes(&house.revoking_set(&subject)).await;
        let status = if code.is_empty() { 202 } else { 400 };
        let err = answer.json()["err"].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status, err.as_str()), (status, code), "{bounds}: {subject}: {}", answer.text());
        let rejected = house.metric("portcullis_set_rejected_total{why=\"access_denied\"}").await;
        assert_eq!(rejected, u64::from(status == 400), "{bounds}: {subject}");
        for (name, browser) in &mut people {
            for (origin, out) in [house.origin(), format!("http://{}", house.other_host())].iter().zip(out) {
                browser.at(origin);
                let page = browser.fetches("/").await.answer;
                let expected = if out == *name { 401 } else { 200 };
                assert_eq!(page.status, expected, "{bounds}: {subject}: {name} at {origin}: {}", page.text());
            }
        }
    }
}

#[tokio::test]
async fn a_stolen_stream_that_names_everybody_one_by_one_is_stopped_at_its_rate() {
    let house = bounded("users_per_minute = 2").await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.seconds_pass(1);
    let named = |user: &str| json!({ "format": "opaque", "id": user });
    // Two unknown people use up the minute; whoever comes after them waits, by whatever name.
    for subject in [
        json!({ "format": "complex", "user": named("x") }),
        json!({ "format": "complex", "user": named("y") }),
        json!({ "format": "complex", "user": named("00u-ann") }),
        json!({ "format": "email", "email": "ben@other.example" }),
        house.subject_of("ben"),
        json!({ "format": "aliases", "identifiers": [house.subject_of("ann"), house.subject_of("ben")] }),
    ] {
        assert_eq!(house.pushes(&house.revoking_set(&subject)).await.status, 202, "{subject}: kept");
    }
    ann.get("/").await.is_let_in();
    ben.get("/").await.is_let_in();
    let waiting = house.operator(Ask::get("/v1/approvals")).await.json();
    let whoms = waiting.as_array().into_iter().flatten().filter_map(|one| one["revocation"]["whom"].as_str());
    let people: BTreeSet<_> = whoms.collect();
    assert_eq!(people, BTreeSet::from(["email ben@other.example", "user 00u-ann", "user 00u-ben"]), "{waiting}");
    // Each event waits for itself: an operator sees who was named how often.
    assert_eq!(house.metric("portcullis_revocations_awaiting_approval").await, 5);
    house.writes_down(&["\"event\":\"awaiting_approval\""]).await;
    // A logout token of the person's own IdP is another way in, and not slowed down by it.
    house.seconds_pass(1);
    let token =
        house.demo.idp.logout_token(&portcullis::demo::idp::LogoutOf::User("ben"), "portcullis").expect("a token");
    assert_eq!(house.is_told_to_log_out(&token).await.status, 200);
    ben.fetches("/").await.is_refused("session_revoked");
    // The next minute is a new one.
    house.seconds_pass(60);
    assert_eq!(house.pushes(&house.revoking_set(&house.subject_of("ann"))).await.status, 202);
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn where_nothing_is_configured_a_stream_revokes_a_thousand_people_in_a_minute_and_no_more() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let mut wire = house.wire().await;
    for n in 0..125 {
        // Eight people in one event are eight people.
        let names = (0..8).map(|m| json!({ "format": "email", "email": format!("{n}.{m}@example.com") }));
        let subject = json!({ "format": "aliases", "identifiers": names.collect::<Vec<_>>() });
        wire.send(&house.push(&house.revoking_set(&subject)).bytes(&house.host())).await;
        assert_eq!(wire.answer().await.expect("an answer").status, 202, "event {n}");
    }
    let awaiting = "portcullis_revocations_awaiting_approval";
    assert_eq!(house.metric(awaiting).await, 0);
    assert_eq!(house.pushes(&house.revoking_set(&house.subject_of("ann"))).await.status, 202);
    assert_eq!(house.metric(awaiting).await, 1);
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn an_idp_whose_clock_is_off_ends_sessions_and_lets_people_back_in() {
    for ahead in [-60, -1, 1, 59] {
        let house = House::of(plan().with_neighbour_ahead(ahead)).await;
        let neighbour = house.neighbour();
        let mut ann = house.browser_of_neighbours("ann").await;
        for round in 0..3 {
            house.seconds_pass(1);
            let what = format!("{ahead} seconds ahead, round {round}");
            // The event says when it happened by the clock of the one who says so.
            let sent = neighbour.transmitter.revoke(&Order { user: "ann".to_owned(), ..Order::default() }).await;
            let delivery = sent.expect("a known user").delivery.expect("the stream is enabled");
            assert_eq!(delivery.status, Some(202), "{what}: {}", delivery.answer);
            let page = ann.fetches("/").await.answer;
            assert_eq!(page.status, 401, "{what}: ann is still in");
            house.seconds_pass(1);
            ann.signs_in("ann").await.is_let_in();
        }
    }
}
