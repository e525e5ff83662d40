//! The client against servers on this machine.

use axum::Router;
use axum::body::Body;
use axum::response::Redirect;
use axum::routing::get;
use tokio::net::TcpListener;

use super::*;

/// Serves `routes` on a port of this machine until the test ends; says where.
pub(crate) async fn serve(routes: Router) -> Url {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    #[expect(clippy::disallowed_methods, reason = "a server of a test ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Url::parse(&format!("http://127.0.0.1:{port}")).expect("url")
}

/// A client that calls this machine only.
pub(crate) fn client() -> Client {
    Client::for_this_machine(&Settings::default()).expect("client")
}

async fn get_from(url: &str) -> Result<Response<Vec<u8>>, Error> {
    get_by(&client(), url).await
}

async fn get_by(client: &Client, url: &str) -> Result<Response<Vec<u8>>, Error> {
    client.send(Request::get(url).body(Vec::new()).expect("request"), 1000).await
}

#[tokio::test]
async fn an_answer_has_its_status_its_headers_and_its_body() {
    let routes = Router::new().route("/x", get(|| async { (::http::StatusCode::IM_A_TEAPOT, [("a", "b")], "tea") }));
    let base = serve(routes).await;
    for host in ["127.0.0.1", "localhost", "some.name.localhost"] {
        let url = format!("http://{host}:{}/x", base.port().expect("port"));
        let answer = get_from(&url).await.expect("an answer");
        assert_eq!((answer.status().as_u16(), &answer.headers()["a"]), (418, &"b".parse().expect("value")), "{host}");
        assert_eq!(answer.body(), b"tea", "{host}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let routes = Router::new()
        .route("/from", get(|| async { Redirect::temporary("/to") }))
        .route("/to", get(|| async { "elsewhere" }));
    let base = serve(routes).await;
    assert_eq!(get_from(&format!("{base}from")).await.expect("an answer").status(), 307);
}

#[tokio::test]
async fn a_large_answer_is_given_up_whether_announced_or_not() {
    let chunks = || async {
        let chunks = (0..501).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"xx")));
        Body::from_stream(futures_util::stream::iter(chunks))
    };
    let routes = Router::new()
        .route("/fits", get(|| async { "x".repeat(1000) }))
        .route("/announced", get(|| async { "x".repeat(1001) }))
        .route("/chunks", get(chunks));
    let base = serve(routes).await;
    assert_eq!(get_from(&format!("{base}fits")).await.expect("fits").body().len(), 1000);
    for path in ["announced", "chunks"] {
        let error = get_from(&format!("{base}{path}")).await.expect_err(path);
        assert!(matches!(error, Error::TooLarge) && !error.is_transient(), "{path}: {error:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_is_given_up() {
    let stalled =
        || async { Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>()) };
    let routes = Router::new().route("/head", get(std::future::pending::<()>)).route("/body", get(stalled));
    let base = serve(routes).await;
    let timeout = Duration::from_millis(100);
    let hasty = Client::for_this_machine(&Settings { timeout, ..Settings::default() }).expect("client");
    for path in ["head", "body"] {
        let error = get_by(&hasty, &format!("{base}{path}")).await.expect_err(path);
        assert!(matches!(error, Error::Deadline) && error.is_transient(), "{path}: {error:?}");
    }
}

#[tokio::test]
async fn an_answer_may_be_held_back_where_the_caller_has_patience() {
    let (release, released) = tokio::sync::watch::channel(false);
    let held = move || {
        let mut released = released.clone();
        async move {
            let _gone = released.wait_for(|released| *released).await;
            "at last"
        }
    };
    let base = serve(Router::new().route("/", get(held))).await;
    let timeout = Duration::from_millis(100);
    let hasty = Client::for_this_machine(&Settings { timeout, ..Settings::default() }).expect("client");
    let request = Request::get(base.as_str()).body(Vec::new()).expect("request");
    let patient = hasty.send_within(request, 1000, Duration::from_secs(20));
    let others = async {
        // Begun later, and over when the other goes on.
        let error = get_by(&hasty, base.as_str()).await.expect_err("too slow");
        assert!(matches!(error, Error::Deadline), "{error:?}");
        release.send(true).expect("somebody waits");
    };
    let (answer, ()) = tokio::join!(patient, others);
    assert_eq!(answer.expect("an answer").body(), b"at last");
}

#[tokio::test]
async fn nobody_there_may_change() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = get_from(&format!("http://{address}/precious")).await.expect_err("nobody is there");
    assert!(matches!(error, Error::Connect(_)) && error.is_transient(), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("precious"));
}

#[tokio::test]
async fn only_https_or_this_machine_is_called() {
    for (url, expected) in [
        ("http://idp.example.com/", Some("it is not https")),
        ("http://10.0.0.5/", Some("it is not https")),
        ("http://localhost.example.com/", Some("it is not https")),
        ("http://127.0.0.1.example.com/", Some("it is not https")),
        ("ftp://127.0.0.1/", Some("it is not https")),
        ("https://169.254.169.254/latest/meta-data", Some("the address is off limits")),
        ("http://169.254.169.254/latest/meta-data", Some("the address is off limits")),
        ("https://2852039166/", Some("the address is off limits")),
        ("https://0xa9.0xfe.0xa9.0xfe/", Some("the address is off limits")),
        ("https://[::ffff:169.254.169.254]/", Some("the address is off limits")),
        ("https://[fe80::1]/", Some("the address is off limits")),
        ("https://[fd00:ec2::254]/", Some("the address is off limits")),
        ("https://0.0.0.0/", Some("the address is off limits")),
        ("https://[::]/", Some("the address is off limits")),
        ("https://224.0.0.1/", Some("the address is off limits")),
        ("https://255.255.255.255/", Some("the address is off limits")),
        ("https://10.0.0.5/", None),
        ("https://idp.example.com/", None),
        ("http://127.0.0.1:4000/", None),
        ("http://[::1]:4000/", None),
        ("http://localhost:4000/", None),
    ] {
        let refused = check_url(&Url::parse(url).expect("url")).err();
        assert_eq!(refused.as_ref().map(ToString::to_string).as_deref(), expected, "{url}");
        assert!(refused.is_none_or(|error| !error.is_transient()), "{url}");
    }
    let error = get_from("http://idp.example.com/").await.expect_err("not https");
    assert!(matches!(error, Error::NotHttps), "{error:?}");
    let error = get_from("/path").await.expect_err("no url");
    assert!(matches!(error, Error::NotUrl), "{error:?}");
}

#[test]
fn a_client_for_this_machine_needs_no_authorities() {
    assert!(Client::for_this_machine(&Settings::default()).is_ok());
}

#[test]
fn an_extra_ca_that_is_none_is_refused() {
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        let settings = Settings { extra_ca_pem: Some(pem.into()), ..Settings::default() };
        assert_eq!(Client::new(&settings).err(), Some(SetupError::BadCa), "`{pem}`");
    }
}
