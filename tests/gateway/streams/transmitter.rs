//! A transmitter with stream management, which does as a test tells it, and writes down what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use portcullis::demo::Demo;
use portcullis::demo::idp::Idp;
use serde_json::{Value, json};

use crate::harness::backend::Seen;
use crate::harness::{AUDIENCE, Ask, Backend, House, Plan, Reply, VERIFICATION, answer, ok};

/// What the gateway presents, unless it gets tokens itself.
pub(crate) const TOKEN: &str = "the-managers-token";

/// How events travel.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Push,
    Poll,
}

/// What it does about a call; `None` leaves it to the usual.
type Whim = Box<dyn FnMut(&Call) -> Option<Reply> + Send>;

/// A call, read.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `POST /stream`
    pub(crate) what: String,
    /// The `stream_id` in the query.
    pub(crate) stream_id: Option<String>,
    pub(crate) body: Value,
    pub(crate) authorization: String,
}

impl Call {
    fn of(seen: &Seen) -> Self {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let id = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "stream_id");
        Self {
            what: format!("{} {path}", seen.method),
            stream_id: id.map(|(_, id)| id.into_owned()),
            body: serde_json::from_slice(&seen.body).unwrap_or_default(),
            authorization: seen.field("authorization").unwrap_or_default(),
        }
    }
}

pub(crate) struct Transmitter {
    pub(crate) backend: Backend,
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    /// Changes of the metadata.
    pub(crate) metadata: Value,
    /// The one stream that it has.
    pub(crate) stream: Option<Value>,
    pub(crate) status: &'static str,
    /// States that verification events were asked for with, not sent yet.
    pub(crate) asked: Vec<String>,
    /// It sends what it is asked for.
    pub(crate) speaks: bool,
    /// Changes of a stream that it makes.
    pub(crate) makes: Value,
    /// SETs to be polled.
    waiting: BTreeMap<String, String>,
    made: u32,
    sent: u32,
    /// Signs events, once a house is there.
    idp: Option<Idp>,
    whim: Whim,
    address: String,
    issuer: String,
}

impl State {
    fn place(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn metadata(&self) -> Value {
        let mut metadata = json!({
            "spec_version": "1_0", "issuer": self.issuer, "jwks_uri": format!("{}/jwks", self.issuer),
            "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
            "configuration_endpoint": self.place("/stream"), "status_endpoint": self.place("/status"),
            "add_subject_endpoint": self.place("/subject:add"), "remove_subject_endpoint": self.place("/subject:remove"),
            "verification_endpoint": self.place("/verify"), "default_subjects": "ALL", "new_in_2027": [],
        });
        merge(&mut metadata, &self.metadata);
        metadata
    }

    /// The stream of that name; without a name the only one.
    fn named(&self, stream_id: Option<&str>) -> Option<Value> {
        self.stream.clone().filter(|stream| stream_id.is_none_or(|id| stream["stream_id"] == id))
    }

    fn make(&mut self, wanted: &Value) -> Value {
        self.made += 1;
        let id = format!("stream-{}", self.made);
        let mut stream = json!({
            "stream_id": id, "iss": self.issuer, "aud": AUDIENCE,
            "events_supported": wanted["events_requested"], "events_delivered": wanted["events_requested"],
        });
        merge(&mut stream, wanted);
        if wanted["delivery"]["method"] == "urn:ietf:rfc:8936" {
            stream["delivery"]["endpoint_url"] = self.place(&format!("/poll?stream_id={id}")).into();
        }
        merge(&mut stream, &self.makes);
        (self.status, self.stream) = ("enabled", Some(stream.clone()));
        stream
    }

    fn does(&mut self, call: &Call) -> Reply {
        if let Some(reply) = (self.whim)(call) {
            return reply;
        }
        if call.what == "GET /metadata" {
            return ok(&self.metadata().to_string());
        }
        let known = self.named(call.stream_id.as_deref());
        let of_body = self.named(call.body["stream_id"].as_str());
        let none = answer("404 Not Found", "", "");
        match (call.what.as_str(), known, of_body) {
            ("POST /stream", Some(_), _) => answer("409 Conflict", "", ""),
            ("POST /stream", None, _) => answer("201 Created", "", &self.make(&call.body).to_string()),
            ("GET /stream", Some(stream), _) if call.stream_id.is_some() => ok(&stream.to_string()),
            ("GET /stream", stream, _) if call.stream_id.is_none() => ok(&json!(Vec::from_iter(stream)).to_string()),
            ("DELETE /stream", Some(_), _) => {
                self.stream = None;
                answer("204 No Content", "", "")
            }
            ("PATCH /stream" | "PUT /stream", _, Some(mut stream)) => {
                merge(&mut stream, &call.body);
                self.stream = Some(stream.clone());
                ok(&stream.to_string())
            }
            ("GET /status", Some(stream), _) => {
                ok(&json!({ "stream_id": stream["stream_id"], "status": self.status }).to_string())
            }
            ("POST /status", _, Some(_)) => {
                self.status = if call.body["status"] == "enabled" { "enabled" } else { "paused" };
                ok(&call.body.to_string())
            }
            ("POST /verify", _, Some(_)) => {
                self.asked.push(call.body["state"].as_str().unwrap_or_default().to_owned());
                answer("204 No Content", "", "")
            }
            ("POST /subject:add", _, Some(_)) => ok(""),
            ("POST /subject:remove", _, Some(_)) => answer("204 No Content", "", ""),
            ("POST /poll", Some(_), _) => self.polled(&call.body),
            _ => none,
        }
    }

    fn polled(&mut self, body: &Value) -> Reply {
        for jti in body["ack"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.waiting.remove(jti);
        }
        if self.speaks && self.status == "enabled" {
            for state in std::mem::take(&mut self.asked) {
                let (jti, set) = self.verification(&json!({ "state": state }));
                self.waiting.insert(jti, set);
            }
        }
        ok(&json!({ "sets": self.waiting }).to_string())
    }

    /// A verification event of the stream, and its name.
    fn verification(&mut self, payload: &Value) -> (String, String) {
        let (idp, stream) = (self.idp.as_ref().expect("a house"), self.stream.as_ref().expect("a stream"));
        self.sent += 1;
        let jti = format!("v-{}", self.sent);
        let claims = json!({
            "aud": AUDIENCE, "jti": jti, "sub_id": { "format": "opaque", "id": stream["stream_id"] }, "events": { VERIFICATION: payload },
        });
        (jti, idp.set(&claims).expect("a SET"))
    }
}

impl Transmitter {
    pub(crate) async fn start() -> Self {
        let backend = Backend::start().await;
        let state = Arc::new(Mutex::new(State {
            metadata: json!({}),
            stream: None,
            status: "enabled",
            asked: Vec::new(),
            speaks: true,
            makes: json!({}),
            waiting: BTreeMap::new(),
            made: 0,
            sent: 0,
            idp: None,
            whim: Box::new(|_| None),
            address: backend.address().to_string(),
            issuer: String::new(),
        }));
        let shared = Arc::clone(&state);
        backend.does(move |seen| shared.lock().expect("lock").does(&Call::of(seen)));
        Self { backend, state }
    }

    /// A house with a stream of this transmitter's.
    pub(crate) async fn house(&self, by: By) -> House {
        self.house_with(by, &format!("token = \"{TOKEN}\""), "", Plan::default()).await
    }

    /// The same, with its own credential, more lines of the stream, and a plan to begin with.
    pub(crate) async fn house_with(&self, by: By, credential: &str, more: &str, plan: Plan) -> House {
        let address = self.backend.address();
        let (delivery, push_url) = match by {
            By::Push => (
                "push\"\npush_token_file = \"push.token",
                "push_url = \"http://localhost:@port@/oauth2/ssf/managed\", ",
            ),
            By::Poll => ("poll", ""),
        };
        let stream = format!(
            r#"[streams.managed]
issuer = "@issuer@"
audience = "{AUDIENCE}"
delivery = "{delivery}"
speaks_for = ["demo"]
metadata_url = "http://{address}/metadata"
allowed_events = ["session-revoked"]
manage = {{ {push_url}hosts = ["{address}"], {credential} }}
{more}"#
        );
        let state = Arc::clone(&self.state);
        let meets = move |demo: &Demo| {
            let mut state = state.lock().expect("lock");
            (state.idp, state.issuer) = (Some(demo.idp.clone()), demo.issuer.as_str().to_owned());
            if let (issuer, Some(stream)) = (state.issuer.clone(), &mut state.stream) {
                stream["iss"] = issuer.into();
            }
        };
        House::of(plan.more(&stream).meets(meets)).await
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }

    /// From now on it does this about calls, where it does anything.
    pub(crate) fn has_whim(&self, whim: impl FnMut(&Call) -> Option<Reply> + Send + 'static) {
        self.state().whim = Box::new(whim);
    }

    /// From now on it answers this to such calls.
    pub(crate) fn says_to(&self, what: &'static str, reply: Reply) {
        self.has_whim(move |call| (call.what == what).then(|| reply.clone()));
    }

    /// Every call of that kind so far.
    pub(crate) fn calls(&self, what: &str) -> Vec<Call> {
        self.backend.seen().iter().filter(|seen| seen.ended).map(Call::of).filter(|call| call.what == what).collect()
    }

    /// Waits until there were so many calls of that kind, and they were answered.
    pub(crate) async fn is_asked(&self, what: &str, times: usize) -> Vec<Call> {
        let count = |log: &Vec<Seen>| log.iter().filter(|seen| seen.ended && Call::of(seen).what == what).count();
        self.backend.sees(&format!("`{what}`, {times} times"), |log| count(log) >= times).await;
        self.calls(what)
    }

    /// Pushes a verification event with this payload, as it would by itself.
    pub(crate) async fn pushes_verification(&self, house: &House, payload: &Value) -> (u16, String) {
        let (_, set) = self.state().verification(payload);
        let answer = house.asks(&push(house, &set)).await;
        (answer.status, answer.text())
    }

    /// Pushes what it was asked for.
    pub(crate) async fn pushes_what_was_asked(&self, house: &House) {
        let asked = std::mem::take(&mut self.state().asked);
        assert!(!asked.is_empty(), "nothing was asked for");
        for state in asked {
            assert_eq!(self.pushes_verification(house, &json!({ "state": state })).await, (202, String::new()));
        }
    }
}

/// How a SET is pushed on the managed stream.
pub(crate) fn push(house: &House, set: &str) -> Ask {
    Ask::post("/oauth2/ssf/managed", "application/secevent+jwt", set)
        .with("Authorization", &format!("Bearer {}", house.demo.push_token.expose()))
}

/// RFC 7396, without the removals in depth.
fn merge(to: &mut Value, change: &Value) {
    for (name, value) in change.as_object().into_iter().flatten() {
        match (to.get_mut(name), value) {
            (Some(inner @ Value::Object(_)), Value::Object(_)) => merge(inner, value),
            (_, Value::Null) => drop(to.as_object_mut().expect("an object").remove(name)),
            _ => to[name] = value.clone(),
        }
    }
}
