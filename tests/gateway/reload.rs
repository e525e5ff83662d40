//! The config is read again while the gateway runs: what changed is in force at once, and nobody else notices.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cut;
use crate::harness::tls::{Authority, Pair};
use crate::harness::{Answer, Ask, Browser, GREETING, House, Plan, Wire, soon};

/// Somebody edits the config.
fn edits(house: &House, from: &str, to: &str) {
    let text = fs::read_to_string(house.config()).expect("the config");
    assert!(text.contains(from), "`{from}` is not in\n{text}");
    writes(house, "portcullis.toml", &text.replace(from, to));
}

/// What is in a file beside the config from now on, all at once.
fn writes(house: &House, name: &str, text: &str) {
    fs::write(house.file(name), text).expect("a file");
}

/// An operator reloads; what came of it.
async fn reloads(house: &House) -> Answer {
    house.operator(Ask::post("/v1/reload", "application/json", "{}")).await
}

/// The same, and it is taken.
async fn takes(house: &House) -> Value {
    let answer = reloads(house).await;
    assert_eq!((answer.status, answer.json()["result"].as_str()), (200, Some("applied")), "{}", answer.text());
    answer.json()
}

/// The keys in a list of an answer.
fn keys(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(|each| each["key"].as_str()).collect()
}

async fn status(house: &House) -> Value {
    house.operator(Ask::get("/v1/status")).await.json()["config"].clone()
}

/// `browser` asks for pages, one after the other, until it is told to stop; every one must be the app's. Answers how many.
async fn goes_on(house: &House, browser: &Browser, stop: Arc<AtomicBool>) -> usize {
    let ask = Ask::get("/").with("Accept", "text/html").with("Cookie", &browser.cookies());
    let mut pages = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = house.asks(&ask).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, GREETING), "page {pages}");
        pages += 1;
    }
    pages
}

/// Does `work` while `browser` goes on to use the app.
async fn meanwhile<T>(house: &House, browser: &Browser, work: impl Future<Output = T>) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    let work = async {
        let done = work.await;
        stop.store(true, Ordering::Relaxed);
        done
    };
    let (done, pages) = tokio::join!(work, goes_on(house, browser, Arc::clone(&stop)));
    assert!(pages > 0, "somebody used the app meanwhile");
    done
}

#[tokio::test]
async fn a_reload_with_a_mistake_changes_nothing() {
    let house = cut::house().await;
    let (ann, ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let (mut anns, mut bens) = (cut::opens_websocket(&house, &ann).await, cut::opens_websocket(&house, &ben).await);
    house.revokes("ann").await;
    anns.is_ended().await;
    let before = status(&house).await;
    let good = fs::read_to_string(house.config()).expect("the config");
    // What is right in the file is not taken either.
    edits(&house, "idp = \"demo\"\n", "idp = \"dmeo\"\nallow = { groups = [\"nobody\"] }\n");
    edits(&house, "[ledger]", "[session]\nidel = \"1h\"\n[ledger]");
    let answer = meanwhile(&house, &ben, reloads(&house)).await;
    assert_eq!((answer.status, answer.json()["result"].as_str()), (422, Some("faulty")), "{}", answer.text());
    let told = answer.json();
    assert_eq!(keys(&told["faults"]), ["session.idel", "apps.payroll.idp"]);
    for fault in told["faults"].as_array().expect("faults") {
        let line = usize::try_from(fault["line"].as_u64().expect("a line")).expect("a line");
        let text = fs::read_to_string(house.config()).expect("the config");
        let key = fault["key"].as_str().and_then(|key| key.rsplit('.').next()).expect("a key");
        assert!(text.lines().nth(line - 1).is_some_and(|text| text.starts_with(key)), "line {line} has {key}");
        assert!(fault["why"].as_str().is_some_and(|why| why.contains("did you mean")), "{fault}");
    }
    // What ran goes on: the open WebSocket, the session, what is revoked.
    bens.send(b"still here").await;
    bens.until("still here").await;
    let ask = Ask::get("/").with("Accept", "*/*").with("Cookie", &ann.cookies());
    assert_eq!(house.asks(&ask).await.json()["error"], "session_revoked");
    let after = status(&house).await;
    assert_eq!((&after["edition"], &after["since"]), (&before["edition"], &before["since"]));
    assert_eq!(keys(&after["refused"]["faults"]), ["session.idel", "apps.payroll.idp"], "the status says so");
    assert_eq!(house.metric("portcullis_config_reload_total{result=\"faulty\"}").await, 1);
    house.writes_down(&["\"event\":\"config_reloaded\"", "\"result\":\"faulty\""]).await;
    // Taken back, it is as before.
    writes(&house, "portcullis.toml", &good);
    let answer = reloads(&house).await;
    assert_eq!((answer.status, answer.json()["result"].as_str()), (200, Some("unchanged")));
    assert_eq!(status(&house).await["refused"], Value::Null);
    // And what began before still ends by a signal.
    house.revokes("ben").await;
    bens.is_ended().await;
}

#[tokio::test]
async fn another_config_is_in_force_at_once_and_nothing_in_force_is_undone() {
    let house = cut::house().await;
    let (ann, ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let mut bens = cut::opens_websocket(&house, &ben).await;
    house.revokes("ann").await;
    let wiki = "\n[apps.wiki]\nurl = \"http://localhost:@port@/wiki\"\nupstreams = [\"http://@backend@\"]\nidp = \"demo\"\n\
                allow = { groups = [\"nobody\"] }\n";
    let wiki = wiki.replace("@port@", house.host().rsplit(':').next().expect("a port"));
    let wiki = wiki.replace("@backend@", &house.backend.address().to_string());
    let text = fs::read_to_string(house.config()).expect("the config");
    writes(&house, "portcullis.toml", &(text + &wiki));
    let told = meanwhile(&house, &ben, takes(&house)).await;
    assert_eq!((keys(&told["changes"]), told["edition"].as_u64()), (vec!["apps.wiki"], Some(2)));
    let asks = |browser: &Browser, path: &str| Ask::get(path).with("Accept", "*/*").with("Cookie", &browser.cookies());
    assert_eq!(house.asks(&asks(&ben, "/wiki/")).await.status, 403, "the new app has rules of its own");
    assert_eq!(house.asks(&asks(&ann, "/")).await.json()["error"], "session_revoked", "who was out is out");
    edits(&house, "allow = { groups = [\"nobody\"] }\n", "");
    assert_eq!(keys(&takes(&house).await["changes"]), ["apps.wiki.allow"]);
    assert_eq!(house.asks(&asks(&ben, "/wiki/")).await.status, 200);
    // A stream that began before all of this ends by a signal that comes after it.
    bens.send(b"still here").await;
    bens.until("still here").await;
    let mut at_wiki = house.wire().await;
    at_wiki.send(&asks(&ben, "/wiki/").bytes(&house.host())).await;
    assert_eq!(at_wiki.answer().await.expect("an answer").status, 200);
    // An app that is gone takes along what ran in it, and leaves the rest.
    edits(&house, "[apps.payroll]", "[apps.salaries]");
    let told = takes(&house).await;
    assert_eq!((keys(&told["changes"]), &told["ended"]), (vec!["apps.payroll", "apps.salaries"], &json!(1)));
    bens.is_ended().await;
    assert_eq!(house.asks(&asks(&ben, "/")).await.status, 200, "the app has another name");
    assert_eq!(house.metric("portcullis_config_edition").await, 4);
}

#[tokio::test]
async fn no_signal_is_lost_while_one_config_takes_the_place_of_another() {
    let house = cut::house().await;
    let ben = house.browser_of("ben").await;
    let mut open = Vec::new();
    for user in ["ann", "ben"] {
        open.push(cut::opens_websocket(&house, &house.browser_of(user).await).await);
    }
    house.seconds_pass(1);
    let set = house.revoking_set(&house.subject_of("ann"));
    let signals = async {
        for _ in 0..20 {
            let answer = house.pushes(&set).await;
            assert_eq!((answer.status, answer.text().as_str()), (202, ""), "every one is taken");
        }
    };
    let swaps = async {
        for n in 0..10 {
            // The stream and the app are made anew each time.
            let (from, to) = if n % 2 == 0 {
                ("speaks_for", "widest = \"group\"\nspeaks_for")
            } else {
                ("widest = \"group\"\n", "")
            };
            edits(&house, from, to);
            takes(&house).await;
        }
    };
    meanwhile(&house, &ben, async { tokio::join!(signals, swaps) }).await;
    open.remove(0).is_ended().await;
    let mut bens = open.remove(0);
    bens.send(b"still here").await;
    bens.until("still here").await;
}

#[tokio::test]
async fn what_waits_for_a_restart_is_named_and_the_rest_waits_with_it() {
    let house = House::of(Plan::default()).await;
    let ben = house.browser_of("ben").await;
    for (from, to, waits) in [
        ("threads = 2", "threads = 3", "server.threads"),
        ("ledger.db", "elsewhere.db", "ledger.path"),
        ("[ledger]", "[session]\nmax_age = \"90d\"\n[ledger]", "session.max_age"),
        ("[\"ring-1.key\"]", "[\"ring-2.key\", \"ring-1.key\"]", "keys.files"),
    ] {
        let good = fs::read_to_string(house.config()).expect("the config");
        edits(&house, from, to);
        edits(&house, "idp = \"demo\"\n", "idp = \"demo\"\nallow = { groups = [\"nobody\"] }\n");
        let answer = reloads(&house).await;
        assert_eq!((answer.status, answer.json()["result"].as_str()), (409, Some("needs_restart")), "{waits}");
        let told: Vec<String> = serde_json::from_value(answer.json()["needs_restart"].clone()).expect("keys");
        assert!(told.iter().any(|key| waits.starts_with(key.as_str())), "{waits} is not in {told:?}");
        let ask = Ask::get("/").with("Accept", "*/*").with("Cookie", &ben.cookies());
        assert_eq!(house.asks(&ask).await.status, 200, "{waits}: nobody is shut out by the rest of the file");
        writes(&house, "portcullis.toml", &good);
    }
    assert_eq!(house.metric("portcullis_config_edition").await, 1);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_once_its_key_fits() {
    let authority = Authority::new();
    let [first, second] = [(); 2].map(|()| authority.certify(&["tls.example.com"]));
    let (Pair { cert, key }, Pair { cert: new_cert, key: new_key }) = (first, second);
    let server = "tls = [{ listen = \"127.0.0.1:@tls@\", cert_file = \"1.pem\", key_file = \"1.key\" }]";
    let app = "[apps.tls]\nurl = \"https://tls.example.com\"\nupstreams = [\"http://@backend@\"]\nidp = \"demo\"\n";
    let house = House::of(Plan::default().file("1.pem", &cert).file("1.key", &key).server(server).more(app)).await;
    let shown = async || {
        let stream = authority.connect(house.tls_address(), "tls.example.com", &["http/1.1"]).await;
        let leaf =
            stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").to_vec();
        (leaf, Wire::over(stream))
    };
    let (old, mut before) = shown().await;
    // Half of it: the key does not fit. The push token beside it is renewed all the same.
    writes(&house, "1.pem", &new_cert);
    writes(&house, "push.token", "another-token-0123456789");
    let push = house.unauthorised_push("x").with("Authorization", "Bearer another-token-0123456789");
    soon("the new token counts, and the certificate is complained of", async {
        while house.asks(&push).await.json()["err"] == "authentication_failed"
            || keys(&status(&house).await["stale_files"]).is_empty()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(keys(&status(&house).await["stale_files"]), ["server.tls[0].key_file"]);
    assert_eq!(shown().await.0, old, "the old pair is shown");
    assert_eq!(house.metric("portcullis_config_files_reread_total{result=\"refused\"}").await, 1);
    writes(&house, "1.key", &new_key);
    soon("the new pair is shown", async {
        while shown().await.0 == old {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    before.send(&Ask::get("/").with("Accept", "*/*").bytes("tls.example.com")).await;
    assert_eq!(before.answer().await.expect("an answer").status, 401, "a connection from before goes on");
    soon("nothing is complained of any more", async {
        while status(&house).await["stale_files"] != json!([]) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let metrics = house.operator(Ask::get("/metrics")).await.text();
    let file = house.file("1.pem");
    assert!(metrics.contains(&format!("portcullis_certificate_not_after_seconds{{file=\"{}\"}}", file.display())));
}

/// What `portcullis` says with these arguments, both outputs one after the other, and its exit code.
async fn portcullis(arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output = soon("the command ends", ended).await.expect("a task").expect("output");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).expect("text"), output.status.code())
}

/// Ten mistakes, each with what is told of it.
const MISTAKES: [(&str, &str, &str); 10] = [
    ("threads = 2", "threads = 0", "server.threads"),
    ("token_file = \"admin.token\"", "token_file = \"gone.token\"", "admin.token_file"),
    ("[ledger]", "[ledger]\nmax_subject = 5", "ledger.max_subject"),
    ("to = \"./audit.log\"", "to = 7", "audit.to"),
    ("client_secret_file", "client_secert_file", "idps.demo.client_secert_file"),
    ("client_id = \"portcullis\"", "client_id = \"\"", "idps.demo.client_id"),
    ("audience = \"https://gateway.example\"", "audience = []", "streams.demo.audience"),
    ("speaks_for = [\"demo\"]", "speaks_for = [\"dmeo\"]", "streams.demo.speaks_for"),
    ("upstreams = [\"http://", "upstreams = [\"htp://", "apps.payroll.upstreams"),
    ("\nidp = \"demo\"", "\nidp = \"corp\"", "apps.payroll.idp"),
];

#[tokio::test]
async fn ten_mistakes_are_ten_messages_with_line_and_remedy_each_printed_once() {
    let house = House::of(Plan::default()).await;
    let (admin, token) = (format!("http://{}", house.admin_address()), house.file("admin.token"));
    for (from, to, _) in MISTAKES {
        edits(&house, from, to);
    }
    let config = house.config();
    let (config, token) = (config.to_str().expect("a path"), token.to_str().expect("a path"));
    for arguments in [
        vec!["check", "-c", config],
        vec!["run", "-c", config],
        vec!["reload", "--admin", &admin, "--token-file", token],
    ] {
        let (told, code) = portcullis(&arguments).await;
        assert_eq!(code, Some(78), "{arguments:?}:\n{told}");
        let lines: Vec<_> = told.lines().filter(|line| line.starts_with(config)).collect();
        assert_eq!(lines.len(), MISTAKES.len(), "{arguments:?}:\n{told}");
        assert!(told.contains("10 faults"), "{arguments:?}:\n{told}");
        for (_, _, key) in MISTAKES {
            let of_key: Vec<_> = lines.iter().filter(|line| line.contains(key)).collect();
            let [line] = of_key.as_slice() else { panic!("{arguments:?}: {key}:\n{told}") };
            let number = line.strip_prefix(config).and_then(|rest| rest.strip_prefix(':'));
            let has_number = number.and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok()).is_some();
            assert!(has_number, "{arguments:?}: {line} has no line");
            let why = line.split_once(key).map_or("", |(_, why)| why).trim();
            assert!(why.len() > 10, "{arguments:?}: `{line}` says what to do");
        }
        if arguments.first() == Some(&"reload") {
            assert!(told.contains("NOTHING WAS CHANGED"), "{told}");
        }
    }
    house.browser_of("ann").await;
}

/// A process that ends with its owner.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[tokio::test]
async fn sighup_reloads_and_does_not_end_the_process() {
    let house = House::of(Plan::default()).await;
    // A second gateway, as a process of its own: signals are heard by processes.
    let text = fs::read_to_string(house.config()).expect("the config");
    let [plain, admin, spare] = [house.address(), house.admin_address(), house.tls_address()].map(|a| a.to_string());
    let text = text.replace(&format!("[\"{plain}\"]"), &format!("[\"{spare}\"]"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let own_admin = listener.local_addr().expect("an address");
    drop(listener);
    let text =
        text.replace(&admin, &own_admin.to_string()).replace("ledger.db", "own.db").replace("./audit.log", "./own.log");
    writes(&house, "own.toml", &text);
    let path = house.file("own.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["run", "-c"]).arg(&path).stderr(Stdio::null()).stdout(Stdio::null());
    let mut process = Program(command.spawn().expect("the gateway starts"));
    let asks = async |what: &str| {
        let ask = house.as_operator(Ask::get(what)).with("Connection", "close");
        Wire::once(own_admin, &ask.bytes(&own_admin.to_string())).await
    };
    soon("it is ready", async {
        while tokio::net::TcpStream::connect(own_admin).await.is_err() || asks("/ready").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let text = fs::read_to_string(&path).expect("the config");
    fs::write(&path, text + "\n[session]\nidle = \"30m\"\n").expect("the config");
    let kill = format!("kill -HUP {}", process.0.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
    soon("another edition runs", async {
        while asks("/v1/status").await.json()["config"]["edition"] != json!(2) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(process.0.try_wait().expect("a process").is_none(), "it goes on");
}
