//! What people read: in their language, with the organisation's looks, with the reason that is meant for them.

use serde_json::json;

use crate::harness::{Ask, Browser, House, Plan, SESSION_REVOKED};

fn page(path: &str, language: &str) -> Ask {
    Ask::get(path).with("Accept", "text/html").with("Sec-Fetch-Mode", "navigate").with("Accept-Language", language)
}

/// A house in which `user`'s sessions end for a reason that is meant for them.
async fn ended_for_a_reason(house: &House, user: &str) {
    let reason = json!({ "reason_user": { "en": "Laptop <lost>", "de": "Laptop <weg>" } });
    house.seconds_pass(1);
    let answer = house.pushes(&house.set(&house.subject_of(user), SESSION_REVOKED, &reason)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[tokio::test]
async fn a_page_is_in_the_language_that_the_browser_asks_for() {
    let house = House::new().await;
    for (accept, tag, words) in [
        ("", "en", "You are signed out"),
        ("de-CH, en;q=0.5", "de", "Sie sind abgemeldet"),
        ("it, fr;q=0.9", "fr", "Vous êtes déconnecté"),
        ("es", "es", "Ha cerrado la sesión"),
        ("ja", "ja", "サインアウトしました"),
    ] {
        let answer = house.asks(&page("/oauth2/signed_out", accept)).await;
        assert!(answer.text().contains(words) && answer.text().contains(&format!("<html lang=\"{tag}\"")), "{tag}");
        let fields = ["content-language", "vary"].map(|name| answer.field(name));
        assert_eq!(fields, [Some(tag), Some("Accept-Language")]);
    }
}

#[tokio::test]
async fn pages_look_as_the_config_says_also_on_a_host_that_nobody_knows() {
    let logo = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    let looks =
        "[pages]\nname = \"Example Corp\"\ncontact = \"Help desk\"\nlogo_file = \"logo.svg\"\ncolour = \"#b00020\"\n";
    let house = House::of(Plan::default().more(looks).file("logo.svg", logo)).await;
    let elsewhere = page("/", "en").bytes("nobody.example.com");
    let mut wire = house.wire().await;
    wire.send(&elsewhere).await;
    let unknown = wire.answer().await.expect("an answer");
    assert_eq!(unknown.status, 421);
    for answer in [unknown, house.asks(&page("/oauth2/signed_out", "en")).await] {
        let text = answer.text();
        assert!(text.contains("<img class=\"logo\" src=\"/oauth2/static/logo\" alt=\"\">"), "{text}");
        assert!(text.contains("<footer>Example Corp · Help desk</footer>"), "{text}");
        let policy = answer.field("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self' data:;"), "{policy}");
    }
    let style = house.asks(&Ask::get("/oauth2/static/page.css")).await;
    assert!(style.text().contains("--accent: #b00020;"));
    let picture = house.asks(&Ask::get("/oauth2/static/logo")).await;
    assert_eq!((picture.field("content-type"), picture.text().as_str()), (Some("image/svg+xml"), logo));
    let policy = picture.field("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "opened by itself it runs no script");
    assert_eq!(house.asks(&Ask::get("/oauth2/static/other")).await.status, 404);
    assert_eq!(house.asks(&Ask::new("DELETE", "/oauth2/static/logo")).await.status, 405);
}

#[tokio::test]
async fn whoever_is_thrown_out_reads_why_and_comes_back_from_there() {
    let house = House::of(Plan::default().more("[pages]\nsay_why = true\n")).await;
    let mut ann = house.browser_of("ann").await;
    ended_for_a_reason(&house, "ann").await;

    let told = ann.asks(&page("/report", "de")).await.answer;
    let text = told.text();
    assert_eq!(told.status, 401);
    assert!(text.contains("<dd lang=\"de\" dir=\"auto\">Laptop &lt;weg&gt;</dd>"), "{text}");
    assert_eq!(told.field("www-authenticate"), Some("Session realm=\"payroll\", error=\"session_revoked\""));
    assert_eq!(told.field("clear-site-data"), Some("\"cache\", \"storage\""));
    let way_on = text.split("<a href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a button");
    assert!(way_on.ends_with("/oauth2/start?rd=%2Freport"), "{way_on}");

    let script = ann.fetches("/").await.answer.json();
    assert_eq!((script["error"].as_str(), script["reason"].as_str()), (Some("session_revoked"), Some("Laptop <lost>")));

    house.seconds_pass(1);
    let back = ann.opens("/oauth2/start?rd=%2Freport", Some("ann")).await;
    back.is_let_in();
    assert!(back.was_asked && back.url.path() == "/report");
}

#[tokio::test]
async fn a_reason_outlives_a_restart_and_meets_nobody_else() {
    let mut house = House::of(Plan::default().more("[pages]\nsay_why = true\n")).await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    ended_for_a_reason(&house, "ann").await;
    house.stop();
    house.start();
    ann.get("/").await.is_told(401, "Laptop &lt;lost&gt;");
    ben.get("/").await.is_let_in();
    house.browser().get("/").await.is_sent_to_idp();
}

#[tokio::test]
async fn without_a_reason_or_the_wish_to_say_it_the_way_leads_straight_to_the_idp() {
    for (says, reason) in [("true", false), ("false", true)] {
        let house = House::of(Plan::default().more(&format!("[pages]\nsay_why = {says}\n"))).await;
        let mut ann: Browser = house.browser_of("ann").await;
        if reason {
            ended_for_a_reason(&house, "ann").await;
        } else {
            house.seconds_pass(1);
            house.says_it_is_over_for(&house.subject_of("ann")).await;
        }
        ann.get("/").await.is_sent_to_idp();
        assert_eq!(ann.fetches("/").await.answer.json()["reason"].is_string(), reason);
    }
}
