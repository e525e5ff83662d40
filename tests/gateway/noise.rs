//! Whatever is sent: no fault of the gateway's own, no growth, and it goes on serving.

use std::net::SocketAddr;

use serde_json::json;

use crate::harness::{Ask, Dice, House, Plan, Wire};

/// Bodies per endpoint.
const BODIES: usize = 10_000;
/// Bytes that the process may grow by meanwhile: other tests run beside this one, and each has a gateway of its own.
const GROWTH: usize = 256 << 20;

/// Something that is somehow like `good`.
fn mutated(dice: &mut Dice, good: &[u8]) -> Vec<u8> {
    match dice.below(8) {
        // Chance alone.
        0 => (0..dice.below(300)).map(|_| u8::try_from(dice.below(256)).expect("a byte")).collect(),
        // Cut short.
        1 => good.iter().copied().take(dice.below(good.len())).collect(),
        // Twice.
        2 => [good, good].concat(),
        // Bytes changed here and there.
        _ => {
            let mut bytes = good.to_vec();
            for _ in 0..=dice.below(4) {
                let at = dice.below(bytes.len());
                match dice.below(3) {
                    0 => bytes[at] ^= 1 << dice.below(8),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, *dice.one_of(&[&b'.', &b'"', &b'{', &b'}', &b'&', &b'%', &b'=', &b'\0'])),
                }
            }
            bytes
        }
    }
}

/// Resident memory in bytes (`/proc/self/statm`, second field, in pages).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4096
}

/// Sends many bodies like `good` as `ask` says, and looks at each status.
async fn endures(address: SocketAddr, host: &str, good: &[u8], ask: impl Fn(Vec<u8>) -> Ask) {
    let mut dice = Dice::new();
    let mut wire = Wire::to(address).await;
    let before = resident();
    for n in 0..BODIES {
        let body = mutated(&mut dice, good);
        wire.send(&ask(body.clone()).bytes(host)).await;
        match wire.answer().await {
            Some(answer) => {
                let told = String::from_utf8_lossy(&body);
                assert!(answer.status < 500, "body {n} gets {}: {told}", answer.status);
                if answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                    wire = Wire::to(address).await;
                }
            }
            None => wire = Wire::to(address).await,
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < GROWTH, "{BODIES} bodies made the process grow by {grown} bytes");
}

#[tokio::test]
async fn ten_thousand_pushes_of_anything_do_no_harm() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let set = house.revoking_set(&house.subject_of("eve"));
    endures(house.address(), &house.host(), set.as_bytes(), |body| {
        let authorization = format!("Bearer {}", house.demo.push_token.expose());
        Ask::post("/oauth2/ssf/demo", "application/secevent+jwt", body).with("Authorization", &authorization)
    })
    .await;
    ann.get("/").await.is_let_in();
    house.revokes("ann").await;
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn ten_thousand_logout_tokens_of_any_kind_do_no_harm() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let about = portcullis::demo::idp::LogoutOf::User("ben");
    let good = format!("logout_token={}", house.demo.idp.logout_token(&about, "portcullis").expect("a token"));
    endures(house.address(), &house.host(), good.as_bytes(), |body| {
        Ask::post("/oauth2/backchannel-logout/demo", "application/x-www-form-urlencoded", body)
    })
    .await;
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn ten_thousand_orders_of_any_kind_do_no_harm() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let good = json!({ "whom": { "email": "zoe@example.com", "device": "d" }, "apps": ["payroll"], "dry_run": true });
    let host = house.admin_address().to_string();
    endures(house.admin_address(), &host, good.to_string().as_bytes(), |body| {
        house.as_operator(Ask::post("/v1/revocations", "application/json", body))
    })
    .await;
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn ten_thousand_global_revocations_of_any_kind_do_no_harm() {
    const SECRET: &str = "a-playbooks-secret-0123456789";
    let plan = Plan::default().idp("global_revocation = { token_file = \"playbook.token\" }");
    let house = House::of(plan.file("playbook.token", SECRET)).await;
    let mut ann = house.browser_of("ann").await;
    let good = json!({ "sub_id": { "format": "email", "email": "zoe@example.com" } });
    endures(house.address(), &house.host(), good.to_string().as_bytes(), |body| {
        Ask::post("/oauth2/global-token-revocation/demo", "application/json", body)
            .with("Authorization", &format!("Bearer {SECRET}"))
    })
    .await;
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn ten_thousand_commands_of_any_kind_do_no_harm() {
    let house = House::of(Plan::default().idp("commands = {}")).await;
    let mut ann = house.browser_of("ann").await;
    let (path, now) = ("/oauth2/commands/demo", house.clock.now().secs());
    let claims = json!({
        "iss": house.demo.issuer, "aud": format!("{}{path}", house.origin()), "client_id": "portcullis", "jti": "j",
        "iat": now, "exp": now + 60, "command": "suspend", "tenant": "t", "sub": "00u-zoe",
    });
    let token = house.demo.idp.sign(Some("command+jwt"), &claims).expect("a token");
    let form = format!("command_token={token}&more=x");
    endures(house.address(), &house.host(), form.as_bytes(), |body| {
        Ask::post(path, "application/x-www-form-urlencoded", body)
    })
    .await;
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn ten_thousand_callers_tokens_of_any_kind_do_no_harm() {
    let house = House::of(Plan::default().idp("global_revocation = {}")).await;
    let mut ann = house.browser_of("ann").await;
    let now = house.clock.now().secs();
    let path = "/oauth2/global-token-revocation/demo";
    let claims = json!({
        "iss": house.demo.issuer, "sub": "portcullis", "aud": format!("{}{path}", house.origin()), "jti": "j",
        "iat": now, "exp": now + 300,
    });
    let good = house.demo.idp.sign(Some("global-token-revocation+jwt"), &claims).expect("a token");
    let request = json!({ "sub_id": { "format": "email", "email": "zoe@example.com" } }).to_string();
    endures(house.address(), &house.host(), good.as_bytes(), |token| {
        // What cannot stand in a header would only be refused by the parser of requests.
        let token: String = token.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '~' }).collect();
        Ask::post(path, "application/json", request.clone()).with("Authorization", &format!("Bearer {token}"))
    })
    .await;
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn ten_thousand_front_channel_logouts_of_any_kind_do_no_harm() {
    let house = House::of(Plan::default().idp("frontchannel_logout = true")).await;
    let mut ann = house.browser_of("ann").await;
    let issuer: String = form_urlencoded::byte_serialize(house.demo.issuer.as_str().as_bytes()).collect();
    let good = format!("iss={issuer}&sid=08a5019c-17e1-4977-8f42-65a12843ea02");
    endures(house.address(), &house.host(), good.as_bytes(), |query| {
        // What cannot stand in a request line would only be refused by the parser of requests.
        let query: String = query.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '%' }).collect();
        Ask::get(&format!("/oauth2/frontchannel-logout/demo?{query}"))
    })
    .await;
    ann.get("/").await.is_let_in();
}
