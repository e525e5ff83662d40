//! An IdP on this machine that does what its script says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use ::http::{HeaderMap, StatusCode};
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde_json::{Value, json};
use url::Url;

use crate::http::tests::serve;
use crate::identity::Issuer;
use crate::idp::{ClaimNames, ProveBy, Settings};
use crate::jose::Signer;
use crate::secret::Secret;

/// What a route is given: the OP, once it knows its own address.
type Cell = State<Arc<OnceLock<Arc<Op>>>>;

/// What one endpoint does when it is called.
#[derive(Clone)]
pub(in crate::idp) enum Does {
    /// Answers with this JSON.
    Say(Value),
    /// Answers with this status and this JSON.
    Fail(u16, Value),
    /// Shows a page.
    Page,
    /// Never answers.
    Hang,
}

impl Does {
    async fn respond(self) -> Response {
        match self {
            Self::Say(value) => axum::Json(value).into_response(),
            Self::Fail(status, value) => {
                (StatusCode::from_u16(status).expect("status"), axum::Json(value)).into_response()
            }
            Self::Page => Html("<html>maintenance</html>").into_response(),
            Self::Hang => std::future::pending().await,
        }
    }
}

pub(in crate::idp) struct Script {
    pub(in crate::idp) metadata: Does,
    pub(in crate::idp) token: Does,
    pub(in crate::idp) userinfo: Does,
    pub(in crate::idp) keys: Does,
    /// Headers and form of the last token request.
    pub(in crate::idp) token_request: Option<(HeaderMap, BTreeMap<String, String>)>,
    pub(in crate::idp) introspection: Does,
    /// Headers and form of every introspection request.
    pub(in crate::idp) introspection_requests: Vec<(HeaderMap, BTreeMap<String, String>)>,
    /// The last `Authorization` at the userinfo endpoint.
    pub(in crate::idp) userinfo_authorization: Option<String>,
}

pub(in crate::idp) struct Op {
    pub(in crate::idp) base: Url,
    pub(in crate::idp) signer: Signer,
    pub(in crate::idp) script: Mutex<Script>,
    pub(in crate::idp) metadata_asked: AtomicUsize,
}

/// Members of `changes` put into `base`; a null takes one away.
pub(in crate::idp) fn with(mut base: Value, changes: &Value) -> Value {
    let members = base.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}

impl Op {
    pub(in crate::idp) async fn start() -> Arc<Self> {
        let signer = Signer::generate("k1").expect("signer");
        let keys = Does::Say(signer.jwks());
        let script = Script {
            metadata: Does::Hang,
            token: Does::Hang,
            userinfo: Does::Hang,
            keys,
            token_request: None,
            introspection: Does::Hang,
            introspection_requests: Vec::new(),
            userinfo_authorization: None,
        };
        // The routes need the OP, and the OP its address: the routes find it in a cell.
        let cell: Arc<OnceLock<Arc<Self>>> = Arc::default();
        let metadata = async |State(op): Cell| {
            let op = op.get().expect("started");
            op.metadata_asked.fetch_add(1, Ordering::SeqCst);
            let does = op.script().metadata.clone();
            does.respond().await
        };
        let routes = Router::new()
            .route("/realm/.well-known/openid-configuration", get(metadata))
            .route("/elsewhere", get(metadata))
            .route(
                "/keys",
                get(async |State(op): Cell| {
                    let does = op.get().expect("started").script().keys.clone();
                    does.respond().await
                }),
            )
            .route(
                "/token",
                post(async |State(op): Cell, headers: HeaderMap, form: Form<BTreeMap<String, String>>| {
                    let does = {
                        let mut script = op.get().expect("started").script();
                        script.token_request = Some((headers, form.0));
                        script.token.clone()
                    };
                    does.respond().await
                }),
            )
            .route(
                "/introspect",
                post(async |State(op): Cell, headers: HeaderMap, form: Form<BTreeMap<String, String>>| {
                    let does = {
                        let mut script = op.get().expect("started").script();
                        script.introspection_requests.push((headers, form.0));
                        script.introspection.clone()
                    };
                    does.respond().await
                }),
            )
            .route(
                "/userinfo",
                get(async |State(op): Cell, headers: HeaderMap| {
                    let does = {
                        let mut script = op.get().expect("started").script();
                        script.userinfo_authorization =
                            headers.get("authorization").map(|v| v.to_str().expect("text").to_owned());
                        script.userinfo.clone()
                    };
                    does.respond().await
                }),
            )
            .with_state(Arc::clone(&cell));
        let base = serve(routes).await;
        let op = Arc::new(Self { base, signer, script: Mutex::new(script), metadata_asked: AtomicUsize::new(0) });
        op.script().metadata = Does::Say(op.metadata());
        assert!(cell.set(Arc::clone(&op)).is_ok());
        op
    }

    pub(in crate::idp) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("lock")
    }

    pub(in crate::idp) fn at(&self, path: &str) -> Url {
        self.base.join(path).expect("url")
    }

    pub(in crate::idp) fn issuer(&self) -> Issuer {
        Issuer::parse(self.at("realm").as_str()).expect("issuer")
    }

    pub(in crate::idp) fn metadata(&self) -> Value {
        json!({
            "issuer": self.issuer().as_str(),
            "authorization_endpoint": self.at("authorize?tenant=1"),
            "token_endpoint": self.at("token"),
            "jwks_uri": self.at("keys"),
            "end_session_endpoint": self.at("logout"),
            "introspection_endpoint": self.at("introspect"),
            "response_types_supported": ["code"],
        })
    }

    pub(in crate::idp) fn settings(&self) -> Settings {
        Settings {
            name: "corp".into(),
            issuer: self.issuer(),
            client_id: "portcullis".into(),
            client_secret: Some(Secret::new("s3cret/+ &".into())),
            scopes: vec!["openid".into(), "email".into(), "groups".into()],
            claims: ClaimNames::default(),
            kept_claims: Vec::new(),
            max_age: Duration::from_secs(3600),
            metadata_url: None,
            prove_by: ProveBy::AuthTime,
            skew: Duration::from_secs(60),
            introspection: None,
            global_revocation: None,
            commands: None,
            frontchannel_logout: false,
            revalidate: None,
        }
    }
}
