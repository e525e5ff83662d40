//! Who may, and who is who.

use std::sync::Arc;
use std::time::Duration;

use portcullis::fleet::postgres::{Host, Postgres as Engine, Schema, Settings, Tls};
use portcullis::fleet::{Engine as _, Position, Trouble};
use portcullis::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{ME, from_the_start, letter, read_until};
use crate::harness::postgres::{PASSWORD, Postgres};
use crate::harness::until;

#[tokio::test]
async fn a_user_with_the_rights_that_are_printed_can_do_all_of_it_and_nothing_else() {
    let postgres = Postgres::start(&[]).await;
    let admin = postgres.admin("fleet").await;
    admin.batch_execute(&format!("CREATE ROLE \"least-1\" LOGIN PASSWORD '{PASSWORD}'")).await.expect("a role");
    let settings = Settings {
        user: "least-1".to_owned(),
        schema: Schema::parse("fleet_2").expect("a schema"),
        ..postgres.settings()
    };
    let engine = Engine::new(settings.clone()).expect("an engine");
    let trouble = engine.open().await.expect_err("it may make nothing");
    assert!(matches!(&trouble, Trouble::Denied(why) if why.contains("portcullis fleet-sql")), "{trouble:?}");
    assert!(trouble.is_configuration());
    // A schema without the rights is not enough.
    let sql = Engine::sql_to_run(&settings);
    let (making, _) = sql.split_once("GRANT").expect("it makes, then grants");
    admin.batch_execute(making).await.expect("it is made");
    let trouble = engine.open().await.expect_err("it may read nothing");
    assert!(matches!(&trouble, Trouble::Denied(_)), "{trouble:?}");

    for _ in 0..2 {
        admin.batch_execute(&sql).await.expect("it may be run again");
    }
    engine.open().await.expect("it opens");
    engine.append(&[letter("a"), letter("b")]).await.expect("they are kept");
    let mut following = from_the_start(&engine).await;
    assert_eq!(read_until(&mut following, "b").await, ["a", "b"]);
    assert!(engine.lease("poll", ME, Duration::from_secs(9)).await.expect("a lease").is_some());
    engine.release("poll", ME).await.expect("it is given back");
    engine.forget_older_than(Duration::ZERO).await.expect("they are dropped");
    assert_eq!(engine.open().await.expect("it opens").last, Position(2), "what was there once counts");
    admin.batch_execute("TRUNCATE fleet_2.letters; UPDATE fleet_2.log SET forgotten = 0").await.expect("an attack");
    engine.open().await.expect("it may say that this is another log");

    let client = postgres.client("least-1", "fleet").await;
    for refused in [
        "UPDATE fleet_2.letters SET body = ''",
        "TRUNCATE fleet_2.letters",
        "DROP TABLE fleet_2.letters",
        "ALTER TABLE fleet_2.letters SET UNLOGGED",
        "UPDATE fleet_2.log SET layout = 7",
        "DELETE FROM fleet_2.log",
        "CREATE TABLE fleet_2.more (n int)",
        "SELECT setval('fleet_2.positions', 1)",
    ] {
        let error = client.batch_execute(refused).await.expect_err(refused);
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{refused}: {error}");
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_and_need_not_wait() {
    let postgres = Postgres::start(&[]).await;
    let good = postgres.settings();
    let wrong = |text: &str| Some(Secret::new(text.to_owned()));
    let socket = postgres.socket();
    for (what, settings) in [
        ("a wrong password", Settings { password: wrong("hunter2"), ..good.clone() }),
        ("no password", Settings { password: None, ..good.clone() }),
        ("an unknown user", Settings { user: "nobody".to_owned(), ..good.clone() }),
        ("an unknown database", Settings { database: "nowhere".to_owned(), ..good.clone() }),
        ("no TLS at the server", Settings { tls: Some(trusting(&Authority::new())), ..good.clone() }),
    ] {
        let trouble = Engine::new(settings).expect("an engine").open().await.expect_err(what);
        assert!(trouble.is_configuration(), "{what}: {trouble:?}");
        assert!(!trouble.to_string().contains("hunter2"), "{trouble}");
    }
    Engine::new(Settings { hosts: vec![socket], ..good }).expect("an engine").open().await.expect("by the socket");
}

#[tokio::test]
async fn only_a_server_with_the_right_name_and_authority_is_spoken_to() {
    let (ours, others) = (Authority::new(), Authority::new());
    let postgres = Postgres::start(&[]).await;
    let Host::Tcp(address, port) = postgres.host() else { panic!("it listens on TCP") };
    // The address is loopback, so `localhost` does not lead to it; the certificate is for the address.
    let (cert, key) = ours.certify(&address);
    let (client_cert, client_key) = ours.certify("gateway");
    let files = [("server.crt", &cert), ("server.key", &key), ("ca.crt", &ours.pem())];
    let files = files.map(|(name, content)| postgres.put(name, content).display().to_string());
    postgres
        .set(&[
            &format!("ssl_cert_file = '{}'", files[0]),
            &format!("ssl_key_file = '{}'", files[1]),
            &format!("ssl_ca_file = '{}'", files[2]),
            "ssl = on",
        ])
        .await;
    postgres.only_with_tls().await;
    let with = |tls| Engine::new(Settings { tls, ..postgres.settings() }).expect("an engine");
    let good = with(Some(trusting(&ours)));
    until("it opens", || async { good.open().await.ok() }).await;
    let shows = "SELECT ssl, client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'gateway'";
    let row = postgres.admin("fleet").await.query_one(shows, &[]).await.expect("one connection");
    assert_eq!((row.get::<_, bool>(0), row.get::<_, Option<&str>>(1)), (true, None));
    drop(good);

    let trouble = with(Some(trusting(&others))).open().await.expect_err("another authority");
    assert!(matches!(&trouble, Trouble::Denied(why) if why.contains("TLS")), "{trouble:?}");
    let elsewhere = Host::Tcp("127.0.0.1".to_owned(), port);
    assert_ne!(elsewhere, postgres.host(), "the certificate is not for this name");
    let trouble = with(None).open().await.expect_err("no TLS");
    assert!(matches!(trouble, Trouble::Denied(_)), "{trouble:?}");

    let pair = CertifiedKey::from_der(
        vec![CertificateDer::from_pem_slice(client_cert.as_bytes()).expect("PEM")],
        PrivateKeyDer::from_pem_slice(client_key.as_bytes()).expect("PEM"),
        &rustls::crypto::aws_lc_rs::default_provider(),
    );
    let client = Some(Arc::new(pair.expect("they belong together")));
    postgres.only_with_a_client_certificate().await;
    let shown = Settings { tls: Some(Tls { client, ..trusting(&ours) }), password: None, ..postgres.settings() };
    let shown = Engine::new(shown).expect("an engine");
    until("it opens", || async { shown.open().await.ok() }).await;
    let trouble = with(Some(trusting(&ours))).open().await.expect_err("no certificate");
    assert!(matches!(trouble, Trouble::Denied(_)), "{trouble:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let ours = Authority::new();
    let postgres = Postgres::start(&[]).await;
    let (cert, key) = ours.certify("db.example.com");
    let files = [("server.crt", &cert), ("server.key", &key)];
    let files = files.map(|(name, content)| postgres.put(name, content).display().to_string());
    let lines = [format!("ssl_cert_file = '{}'", files[0]), format!("ssl_key_file = '{}'", files[1])];
    postgres.set(&[&lines[0], &lines[1], "ssl = on"]).await;
    let engine = Engine::new(Settings { tls: Some(trusting(&ours)), ..postgres.settings() }).expect("an engine");
    let trouble = until("it is refused for its name", || async {
        let trouble = engine.open().await.expect_err("it is not for this name");
        trouble.to_string().contains("name").then_some(trouble)
    })
    .await;
    assert!(matches!(trouble, Trouble::Denied(_)), "{trouble:?}");
}

fn trusting(authority: &Authority) -> Tls {
    Tls { authorities: vec![CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM")], client: None }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, for that name, which is also the common name.
    fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
    }
}
