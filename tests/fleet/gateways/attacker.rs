use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis::fleet::{GatewayId, Letter, Position, To};

use super::super::harness::{Stage, soon, until};
use super::Fleet;

/// Somebody with all rights at the engine and without the key ring.
pub(super) async fn who_has_the_engine_and_no_key_revokes_nothing_and_unrevokes_nothing(stage: &dyn Stage) {
    let fleet = Fleet::of(stage, 3).await;
    let gateways = &fleet.gateways;
    let [ann, bob] = ["ann", "bob"].map(|user| gateways.cookies(user, "localhost:8080"));
    gateways.sends(0, "ann").await;
    let everywhere = async |cookies: &str, status: u16| {
        for n in 0..3 {
            until(&format!("gateway {n} answers {status}"), || async {
                (gateways.asks(n, cookies).await == Some(status)).then_some(())
            })
            .await;
        }
    };
    everywhere(&ann, 401).await;

    // Reads everything that there is, and says it again: as it is, changed, and to others.
    let attacker = stage.engine().await;
    until("the engine lets them in", || async { attacker.open().await.ok() }).await;
    let mut log = attacker.follow(Position(0), GatewayId(0xbad)).await.expect("it follows");
    let letters = soon("there are letters", log.next()).await.expect("letters").expect("no trouble");
    drop(log);
    assert!(!letters.is_empty());
    let leaks = letters.iter().any(|entry| entry.body.windows(3).any(|part| part == b"ann" || part == b"sub"));
    assert!(!leaks, "who has the engine reads whom it is about");
    let mut again = Vec::new();
    for (n, entry) in letters.iter().enumerate() {
        let letter = |name: &str, body: Vec<u8>| Letter { id: format!("evil-{name}-{n}"), to: To::Everyone, body };
        let mut changed = entry.body.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        again.extend([letter("replay", entry.body.clone()), letter("change", changed)]);
        again.push(letter("cut", entry.body[..middle].to_vec()));
    }
    again.push(Letter { id: "evil-plain".into(), to: To::Everyone, body: br#"{"v":1,"revocation":{}}"#.to_vec() });
    attacker.append(&again).await.expect("the engine takes it");
    for n in 0..3 {
        until("the alarm rings", || async {
            let letters = gateways.standing(n).await?["illegible"].as_u64()?;
            (letters > 0 && gateways.log(n).contains("ALARM")).then_some(())
        })
        .await;
    }
    everywhere(&bob, 200).await;
    everywhere(&ann, 401).await;

    // Takes the log away.
    stage.delete_log().await;
    for n in 0..3 {
        until("the alarm rings", || async {
            (gateways.metric(n, "portcullis_fleet_log_replaced_total").await? >= 1.0).then_some(())
        })
        .await;
    }
    everywhere(&ann, 401).await;
    everywhere(&bob, 200).await;
    // The fleet goes on, in a new log, and that has again what was in force.
    until("signals are taken again", || async { (gateways.pushes(1, "eve").await == 202).then_some(()) }).await;
    everywhere(&gateways.cookies("eve", "localhost:8080"), 401).await;
    let told = until("a new log", || async {
        attacker.open().await.ok()?;
        let mut log = attacker.follow(Position(0), GatewayId(0xbad)).await.ok()?;
        let next = tokio::time::timeout(Duration::from_secs(2), log.next()).await.ok()??.ok()?;
        // Eve's, and Ann's again.
        (next.len() >= 2).then_some(next.len())
    })
    .await;
    println!("the new log has {told} letters for everyone");
}
