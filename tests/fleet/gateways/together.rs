//! The gateways as one: what a revocation did at all of them, who has applied it, what one would meet.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::demo::Server;
use serde_json::{Value, json};

use super::super::harness::{Stage, until};
use super::Fleet;

const HOST: &str = "localhost:8080";

/// What the webhook's receiver got.
type Got = Arc<Mutex<Vec<Value>>>;

/// Notes the claims of a message. Its signature is checked elsewhere.
async fn takes(State(got): State<Got>, set: String) {
    let payload = set.split('.').nth(1).expect("a SET");
    let claims = URL_SAFE_NO_PAD.decode(payload).expect("base64");
    got.lock().expect("a lock").push(serde_json::from_slice(&claims).expect("JSON"));
}

/// The id of what an operator revoked at gateway `n`.
async fn revokes(fleet: &Fleet<'_>, n: usize, user: &str) -> String {
    let answer = fleet.gateways.operates(n, "/v1/revocations", &json!({ "whom": { "user": user } })).await;
    answer["revocations"][0]["outcome"].as_str().expect("an id").to_owned()
}

/// Waits until gateway `n` shows the outcome so.
async fn shows(fleet: &Fleet<'_>, n: usize, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
    let last = Mutex::new(Value::Null);
    let looks = until(what, || async {
        let outcome = fleet.gateways.sees(n, &format!("/v1/outcomes/{id}")).await?;
        *last.lock().expect("a lock") = outcome.clone();
        is_so(&outcome).then_some(())
    });
    if tokio::time::timeout(std::time::Duration::from_secs(80), looks).await.is_err() {
        panic!("{what} at gateway {n}: {}", last.lock().expect("a lock"));
    }
}

fn names(list: &Value) -> HashSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Opens streams at two gateways and revokes at the third.
pub(super) async fn all_gateways_together_say_what_a_revocation_did(stage: &dyn Stage) {
    let got = Got::default();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = tokio::net::TcpListener::bind(any).await.expect("a receiver");
    let receiver = listener.local_addr().expect("its address");
    let app = Router::new().fallback(takes).with_state(Arc::clone(&got));
    let _receiver = Server::start(listener, app);
    let more = format!(
        "[outcomes.webhook]\nurl = \"http://{receiver}/hook\"\nissuer = \"https://gw.example.com\"\n\
         audience = \"soc\"\nkey_file = \"hook.key\"\n"
    );
    let fleet = Fleet::of_with(stage, 3, &more).await;
    let gateways = &fleet.gateways;
    for n in 0..3 {
        fleet.is_fresh(n).await;
        until("each knows the others", || async {
            let standing = gateways.standing(n).await?;
            let others = standing["gateways"].as_array()?;
            (others.len() == 2 && others.iter().all(|other| other["state"] == "fresh")).then_some(())
        })
        .await;
    }

    let cookies = gateways.cookies("ann", HOST);
    let _streams =
        (gateways.opens(0, &cookies).await, gateways.opens(0, &cookies).await, gateways.opens(1, &cookies).await);
    let dry_run = json!({ "whom": { "user": "ann" }, "dry_run": true });
    until("a dry run sees all of them", || async {
        let (_, answer) = gateways.operator(2, "/v1/revocations", &dry_run).await;
        let met = &answer["met"];
        let counts = (met["exchanges"].as_u64(), met["people"].as_u64(), met["sessions"].as_u64());
        let at = answer["gateways"].as_array().map(|all| {
            all.iter().map(|one| (one["gateway"].as_str(), one["met"]["exchanges"].as_u64())).collect::<HashSet<_>>()
        })?;
        let wanted = HashSet::from([(Some("gw-0"), Some(2)), (Some("gw-1"), Some(1)), (Some("gw-2"), Some(0))]);
        // A machine in need may be late with an answer, and is named then.
        (counts == (Some(3), Some(1), Some(1)) && at == wanted && answer["silent"].is_null()).then_some(())
    })
    .await;
    assert_eq!(gateways.asks(1, &cookies).await, Some(200), "nothing was done");

    let id = revokes(&fleet, 2, "ann").await;
    // What is under way when it comes is cut, not refused.
    for n in 0..3 {
        shows(&fleet, n, &id, "all have applied it", |outcome| names(&outcome["applied_by"]).len() == 3).await;
    }
    assert_eq!(gateways.asks(1, &cookies).await, Some(401));
    assert_eq!(gateways.asks(0, &cookies).await, Some(401));
    for n in 0..3 {
        shows(&fleet, n, &id, "it shows what all did", |outcome| {
            outcome["cut"] == json!({ "sse": 3 })
                && outcome["refusals"] == 2
                && outcome["people"]["seen"] == 1
                && outcome["redelivered"] == 0
                && names(&outcome["applied_by"]) == HashSet::from(["gw-0", "gw-1", "gw-2"])
                && names(&outcome["behind"]).is_empty()
                && names(&outcome["silent"]).is_empty()
                && outcome["gateways"].as_array().is_some_and(|all| {
                    let of =
                        |name: &str| all.iter().find(|at| at["gateway"] == name).map(|at| at["cut"]["sse"].clone());
                    (of("gw-0"), of("gw-1")) == (Some(json!(2)), Some(json!(1)))
                })
        })
        .await;
    }
    let told = || {
        let got = got.lock().expect("a lock");
        let events = got.iter().map(|claims| claims["events"].as_object().and_then(|all| all.values().next().cloned()));
        let news: Vec<_> =
            events.map(|event| event.expect("an event")["news"].as_str().unwrap_or("").to_owned()).collect();
        news
    };
    until("the receiver is told of both", || async { (told().len() >= 2).then_some(()) }).await;
    // Whoever would tell it twice has had its time: one that counts reports within that.
    let second = revokes(&fleet, 0, "carl").await;
    shows(&fleet, 1, &second, "all applied it", |outcome| names(&outcome["applied_by"]).len() == 3).await;
    until("the receiver is told of that", || async { (told().len() >= 3).then_some(()) }).await;
    assert_eq!(told(), ["in_force", "first_refusal", "in_force"], "each message came once");

    gateways.kill(1);
    until("who does not speak is silent", || async {
        let standing = gateways.standing(0).await?;
        let state = |name| {
            standing["gateways"].as_array()?.iter().find(|one| one["name"] == name).map(|one| one["state"].clone())
        };
        (state("gw-1") == Some(json!("silent"))).then_some(())
    })
    .await;
    let third = revokes(&fleet, 0, "bob").await;
    for n in [0, 2] {
        shows(&fleet, n, &third, "who is silent is named", |outcome| {
            names(&outcome["applied_by"]) == HashSet::from(["gw-0", "gw-2"])
                && names(&outcome["silent"]) == HashSet::from(["gw-1"])
        })
        .await;
    }
    let (_, answer) = gateways.operator(0, "/v1/revocations", &dry_run).await;
    assert!(names(&answer["silent"]).contains("gw-1"), "{answer}");

    gateways.launch(1);
    gateways.is_ready(1).await;
    shows(&fleet, 2, &third, "who comes back applies it", |outcome| names(&outcome["applied_by"]).len() == 3).await;
    let outcome = gateways.sees(1, &format!("/v1/outcomes/{id}")).await.expect("an answer");
    assert_eq!(
        (&outcome["cut"], &outcome["refusals"]),
        (&json!({ "sse": 3 }), &json!(2)),
        "a restart forgets no counts"
    );
}
