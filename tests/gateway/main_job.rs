//! The main job: a session ends when it is said to be over, and only a login that is newer than that leads back.

use crate::harness::House;

#[tokio::test]
async fn a_revoked_session_is_refused_and_a_fresh_login_gets_in() {
    let house = House::new().await;
    let mut ann = house.browser();
    ann.get("/reports?year=2003").await.is_sent_to_idp();
    ann.signs_in("ann").await.is_let_in();
    house.revokes("ann").await;
    ann.fetches("/api").await.is_refused("session_revoked");
    ann.signs_in("ann").await.is_let_in();
}
