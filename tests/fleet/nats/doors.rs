//! How a gateway gets in: credentials of every kind, TLS, and no more rights than it needs.

use portcullis::fleet::Trouble;
use portcullis::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;
use crate::harness::nkeys::{Kind, Nkey, Realm};

fn secret(text: impl Into<String>) -> Secret<String> {
    Secret::new(text.into())
}

/// Who comes with these credentials gets in, and letters go through.
async fn lets_in(nats: &Nats, credentials: Credentials) {
    works(Settings { credentials, ..settings(nats) }).await;
}

/// A gateway with these settings can do all that it must.
async fn works(settings: Settings) {
    let engine = jetstream(settings);
    let extent = engine.open().await.expect("it opens");
    let me = GatewayId(7);
    let mut watch = engine.follow(extent.last, me).await.expect("a watch");
    let letter = |name, to| Letter { id: format!("{name}-{}", extent.last.0), to, body: vec![1] };
    engine.append(&[letter("all", To::Everyone), letter("me", To::One(me))]).await.expect("letters are kept");
    let mut come = 0;
    while come < 2 {
        come += soon("letters come", watch.next()).await.expect("no end").expect("no trouble").len();
    }
    assert!(engine.lease("a", me, DEADLINE).await.expect("a lease").is_some());
    engine.release("a", me).await.expect("given back");
}

/// Who comes with these is told that it is the credentials, and in time.
async fn denies(nats: &Nats, credentials: Credentials) {
    denied(Settings { credentials, ..settings(nats) }).await;
}

async fn denied(settings: Settings) {
    let what = format!("{:?}", settings.credentials);
    let engine = jetstream(settings);
    let answer = tokio::time::timeout(DEADLINE * 3, engine.open()).await.expect("an answer in time");
    assert!(matches!(answer, Err(Trouble::Denied(_))), "{what}: {answer:?}");
}

#[tokio::test]
async fn a_password_opens_and_a_wrong_one_is_denied() {
    let nats = Nats::start(Plan::of(1).with("authorization { user: gw, password: \"right\" }")).await;
    let password = |user: &str, password: &str| Credentials::Password { user: user.into(), password: secret(password) };
    lets_in(&nats, password("gw", "right")).await;
    for wrong in [password("gw", "wrong"), password("other", "right"), Credentials::None] {
        denies(&nats, wrong).await;
    }
    denies(&nats, Credentials::Token(secret("right"))).await;
}

#[tokio::test]
async fn a_token_opens_and_a_wrong_one_is_denied() {
    let nats = Nats::start(Plan::of(1).with("authorization { token: \"right\" }")).await;
    lets_in(&nats, Credentials::Token(secret("right"))).await;
    denies(&nats, Credentials::Token(secret("wrong"))).await;
}

#[tokio::test]
async fn an_nkey_opens_and_another_is_denied() {
    let key = Nkey::new(Kind::User);
    let config = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", key.public());
    let nats = Nats::start(Plan::of(1).with(config)).await;
    lets_in(&nats, Credentials::Nkey(secret(key.seed()))).await;
    denies(&nats, Credentials::Nkey(secret(Nkey::new(Kind::User).seed()))).await;
    denies(&nats, Credentials::Nkey(secret("no seed at all"))).await;
}

#[tokio::test]
async fn a_credentials_file_opens_and_another_operators_is_denied() {
    let realm = Realm::new();
    let nats = Nats::start(Plan::of(1).with(&*realm.config)).await;
    lets_in(&nats, Credentials::File(secret(&*realm.credentials))).await;
    denies(&nats, Credentials::File(secret(Realm::new().credentials))).await;
    let answer =
        jetstream(Settings { credentials: Credentials::File(secret("nothing")), ..settings(&nats) }).open().await;
    assert!(matches!(answer, Err(Trouble::Unfit { .. })), "{answer:?}");
}

/// The rights that conf/portcullis.toml names are enough, and without them it is said what is missing.
#[tokio::test]
async fn a_gateway_needs_these_rights_and_no_more() {
    let publish = [
        "fleet.>",
        "$JS.API.STREAM.INFO.fleet",
        "$JS.API.STREAM.CREATE.fleet",
        "$JS.API.STREAM.MSG.GET.fleet",
        "$JS.API.CONSUMER.CREATE.fleet",
        "$JS.FC.>",
    ];
    let rights = |publish: &[&str]| format!("publish: [{}], subscribe: \"_INBOX.>\"", quoted(publish));
    let config = format!(
        "authorization {{ users: [ \
         {{ user: enough, password: p, permissions: {{ {} }} }}, \
         {{ user: reader, password: p, permissions: {{ {} }} }}, \
         {{ user: nobody, password: p, permissions: {{ publish: none, subscribe: \"_INBOX.>\" }} }} ] }}",
        rights(&publish),
        rights(&publish[1..]),
    );
    let nats = Nats::start(Plan::of(1).with(config)).await;
    let of = |user: &str| Settings {
        credentials: Credentials::Password { user: user.into(), password: secret("p") },
        ..settings(&nats)
    };
    works(of("enough")).await;
    denied(of("nobody")).await;
    let reader = jetstream(of("reader"));
    reader.open().await.expect("it may look");
    let letter = Letter { id: "a".into(), to: To::Everyone, body: vec![] };
    let refused = reader.append(&[letter]).await;
    assert!(matches!(&refused, Err(Trouble::Denied(why)) if why.contains("fleet.all")), "{refused:?}");
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// Whose password is changed while it runs, is told so, and goes on when it is right again.
#[tokio::test]
async fn credentials_that_are_withdrawn_are_denied_later_too() {
    let config = |password: &str| format!("authorization {{ user: gw, password: \"{password}\" }}");
    let nats = Nats::start(Plan::of(1).with(config("right"))).await;
    let credentials = Credentials::Password { user: "gw".into(), password: secret("right") };
    let engine = jetstream(Settings { credentials, ..settings(&nats) });
    engine.open().await.expect("it opens");
    nats.kill(0);
    nats.change(0, &config("right"), &config("another"));
    nats.restart(0).await;
    until("it is denied", || async { matches!(engine.open().await, Err(Trouble::Denied(_))).then_some(()) }).await;
    nats.kill(0);
    nats.change(0, &config("another"), &config("right"));
    nats.restart(0).await;
    until("it opens again", || async { engine.open().await.ok() }).await;
}

/// An authority for servers and gateways.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// A certificate and its key for `name`, in PEM.
    fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
    }
}

/// Servers with certificates of `authority` on the address that they get; `more` stands in their `tls` block.
async fn with_tls(authority: &Authority, more: &str) -> Nats {
    let plan = Plan::of(1);
    let (cert, key) = authority.certify(&plan.address);
    let ca = plan.scratch.file("ca.pem", &authority.0.pem());
    let (cert, key) = (plan.scratch.file("server.pem", &cert), plan.scratch.file("server.key", &key));
    let config = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\" {more} }}",
        cert.display(),
        key.display(),
        ca.display()
    );
    Nats::start(plan.with(config)).await
}

#[tokio::test]
async fn tls_with_the_authority_that_is_named_and_no_other() {
    let authority = Authority::new();
    let nats = with_tls(&authority, "").await;
    let trusting = |authority: &Authority, name: &str| Tls {
        required: true,
        ca_file: Some(nats.scratch().file(name, &authority.0.pem())),
        identity: None,
    };
    let right = Settings { tls: trusting(&authority, "right.pem"), ..settings(&nats) };
    works(right.clone()).await;
    let servers = right.servers.iter().map(|server| server.replace("nats://", "tls://")).collect();
    works(Settings { servers, ..right }).await;
    denied(Settings { tls: trusting(&Authority::new(), "wrong.pem"), ..settings(&nats) }).await;
    // The system's authorities do not know it either.
    denied(settings(&nats)).await;
}

#[tokio::test]
async fn tls_is_not_done_without_where_it_is_required() {
    let nats = Nats::start(Plan::of(1)).await;
    let ca_file = Some(nats.scratch().file("ca.pem", &Authority::new().0.pem()));
    let answer =
        jetstream(Settings { tls: Tls { required: true, ca_file, identity: None }, ..settings(&nats) }).open().await;
    assert!(answer.is_err(), "the server speaks plainly: {answer:?}");
}

#[tokio::test]
async fn a_certificate_of_ones_own_opens() {
    let authority = Authority::new();
    let nats = with_tls(&authority, ", verify: true").await;
    let ca_file = Some(nats.scratch().file("ca.pem", &authority.0.pem()));
    let shown = |authority: &Authority, name: &str| {
        let (cert, key) = authority.certify("gateway");
        let file = |end: &str, content: &str| nats.scratch().file(&format!("{name}.{end}"), content);
        Tls { required: true, ca_file: ca_file.clone(), identity: Some((file("pem", &cert), file("key", &key))) }
    };
    works(Settings { tls: shown(&authority, "right"), ..settings(&nats) }).await;
    for tls in [shown(&Authority::new(), "wrong"), Tls { identity: None, ..shown(&authority, "none") }] {
        denied(Settings { tls, ..settings(&nats) }).await;
    }
}
