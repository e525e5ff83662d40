//! A gateway that is told to stop: it says so, ends what it has begun, and forgets nothing that it is told meanwhile.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use portcullis::time::Stopwatch;
use serde_json::json;
use tokio::task::JoinSet;

use crate::cut::{begins, opens_websocket};
use crate::harness::{Ask, House, Plan, Reply, Wire, ok, soon};

/// 1001, going away (RFC 6455 §7.4.1), in a frame of its own.
const GOING_AWAY: &str = "gateway restart";
/// A frame.
const STILL_HERE: &[u8] = b"\x81\x0astill here";
/// What is said to the WebSocket of a session that was revoked.
const REVOKED: &str = "session is over";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n";

/// A plan whose gateway lets people in for `lead` after the order to stop, and ends what runs after `bound`.
fn plan(lead: &str, bound: &str) -> Plan {
    Plan::default().server(&format!("timeouts = {{ drain_lead = \"{lead}\", shutdown = \"{bound}\" }}"))
}

/// A house with an app for each kind of exchange.
async fn house(plan: Plan) -> House {
    let house = House::of(plan).await;
    house.backend.does(|seen| match seen.target.as_str() {
        "/ws" => Reply::Echo(SWITCHED.to_vec()),
        "/events" => Reply::Open(EVENTS.to_vec()),
        "/never" => Reply::Open(Vec::new()),
        _ => ok("hello from the app"),
    });
    house
}

/// Waits until the gateway says on both listeners that it drains.
async fn is_said_to_drain(house: &House) {
    soon("`draining` in /ready", async {
        loop {
            let ready = house.operator(Ask::get("/ready")).await;
            if ready.status == 503 {
                assert_eq!(ready.json(), json!({ "ready": false, "reasons": ["draining"] }));
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_order_to_stop_is_said_at_once_and_whoever_comes_is_served_but_not_asked_to_stay() {
    let house = house(plan("60s", "120s")).await;
    let ready = house.asks(&Ask::get("/oauth2/ready")).await;
    assert_eq!((ready.status, ready.json()), (200, json!({ "status": "ready" })));
    let ann = house.browser_of("ann").await;
    let ask = Ask::get("/").with("Cookie", &ann.cookies()).bytes(&house.host());
    let mut stays = house.wire().await;
    stays.send(&ask).await;
    assert_eq!(stays.answer().await.expect("an answer").field("connection"), Some("keep-alive"));

    house.drains();
    is_said_to_drain(&house).await;
    let by_address = Wire::once(house.address(), b"GET /oauth2/ready HTTP/1.0\r\n\r\n").await;
    assert_eq!((by_address.status, by_address.json()), (503, json!({ "status": "draining" })));
    let comes = house.wire().await;
    for mut wire in [stays, comes] {
        wire.send(&ask).await;
        let answer = wire.answer().await.expect("an answer");
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        wire.is_ended().await;
    }
    // A sign-in begins and ends as ever.
    house.browser().signs_in("ben").await.is_let_in();
}

#[tokio::test]
async fn a_running_request_finishes_an_idle_connection_is_closed_and_the_gateway_is_gone() {
    let house = house(plan("0s", "60s")).await;
    let ann = house.browser_of("ann").await;
    let mut idle = begins(&house, &ann, Ask::get("/")).await;
    assert_eq!(idle.answer().await.expect("an answer").status, 200);
    let mut running = begins(&house, &ann, Ask::new("POST", "/upload").with("Content-Length", "10")).await;
    running.send(b"hello").await;
    house.backend.sees("half of the body", |log| log.iter().any(|seen| seen.body == b"hello")).await;

    house.drains();
    house.is_closed().await;
    assert_eq!(idle.rest().await, b"", "nothing is said, and it is no reset");
    running.send(b"world").await;
    let answer = running.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert_eq!(house.backend.last().body, b"helloworld");
    house.has_stopped().await;
}

#[tokio::test]
async fn streams_live_until_the_bound_and_are_told_why_they_end() {
    let house = house(plan("0s", "4s")).await;
    let ann = house.browser_of("ann").await;
    let mut websocket = opens_websocket(&house, &ann).await;
    let mut events = begins(&house, &ann, Ask::get("/events")).await;
    events.until("data: one").await;
    let mut waiting = begins(&house, &ann, Ask::get("/never").with("Accept", "*/*")).await;
    house.backend.sees("the request", |log| log.iter().any(|seen| seen.target == "/never")).await;

    let since = Stopwatch::start();
    house.drains();
    house.is_closed().await;
    websocket.send(STILL_HERE).await;
    websocket.until("still here").await;
    assert_eq!(waiting.answer().await.expect("an answer").status, 503, "it ran to the bound, and is told");
    assert!(since.elapsed() >= Duration::from_secs(4), "ended after {:?}", since.elapsed());
    websocket.until(GOING_AWAY).await;
    websocket.is_ended().await;
    events.is_ended().await;
    house.has_stopped().await;
}

#[tokio::test]
async fn a_revocation_that_comes_while_it_drains_cuts_and_is_not_forgotten() {
    let mut house = house(plan("0s", "60s")).await;
    let (ann, ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let (mut anns, mut bens) = (opens_websocket(&house, &ann).await, opens_websocket(&house, &ben).await);
    house.drains();
    house.is_closed().await;
    let request = json!({ "whom": { "user": house.demo.idp.subject("ann") }, "idp": "demo" });
    let answer = house.operator_revokes(&request).await;
    assert_eq!((&answer["cut"], &answer["durable"]), (&json!(1), &json!(true)), "{answer}");
    anns.until(REVOKED).await;
    anns.is_ended().await;
    bens.send(STILL_HERE).await;
    bens.until("still here").await;
    drop(bens);
    house.has_stopped().await;

    house.start();
    let mut thief = ann;
    thief.fetches("/").await.is_refused("session_revoked");
    let mut ben = ben;
    ben.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_sign_in_that_began_before_ends_at_another_gateway_with_the_same_keys() {
    let house = house(plan("0s", "60s")).await;
    let (_sibling, elsewhere) = house.sibling();
    let mut ann = house.browser();
    let sent = ann.get("/").await;
    let callback = ann.answered_by_idp(&sent, "ann").await;
    house.drains();
    house.has_stopped().await;
    ann.is_sent_to(elsewhere);
    let here = ann.goes_to(&callback).await;
    ann.goes_on(here, None).await.is_let_in();
}

/// The real program, as a process of its own.
struct Program(Child);

impl Program {
    /// Runs the gateway of `house`, which must not run. `socket` is one that somebody else listens with.
    fn run(house: &House, socket: Option<&TcpListener>) -> Self {
        let mut command = Command::new("sh");
        let set = "export LISTEN_FDS=1 LISTEN_PID=$$; exec 3<&0 </dev/null";
        let set = if socket.is_some() { set } else { "exec </dev/null" };
        command.args(["-c", &format!("{set}; exec \"$0\" run -c \"$1\"")]);
        command.args([env!("CARGO_BIN_EXE_portcullis").into(), house.config().into_os_string()]);
        if let Some(socket) = socket {
            command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().expect("a socket"))));
        }
        let log = File::create(house.file("program.log")).expect("a log");
        command.stdout(Stdio::null()).stderr(log).env("NOTIFY_SOCKET", house.file("notify"));
        Self(command.spawn().expect("the program starts"))
    }

    /// The same, and waits until it is ready.
    async fn is_ready(house: &House, socket: Option<&TcpListener>) -> Self {
        let mut program = Self::run(house, socket);
        soon("the program is ready", async {
            let ready = Ask::get("/ready").with("Connection", "close").bytes("localhost");
            loop {
                let ended = program.0.try_wait().expect("a child");
                assert!(ended.is_none(), "{ended:?}\n{}", said(house));
                if let Ok(stream) = tokio::net::TcpStream::connect(house.admin_address()).await {
                    let mut wire = Wire::over(stream);
                    wire.send(&ready).await;
                    if wire.answer().await.is_some_and(|answer| answer.status == 200) {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        program
    }

    /// Sends it a signal.
    fn is_sent(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
    }

    /// Waits until it has ended, and says how.
    async fn ends(&mut self) -> ExitStatus {
        soon("the program ends", async {
            loop {
                if let Some(status) = self.0.try_wait().expect("a child") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// What the program said on standard error.
fn said(house: &House) -> String {
    let mut text = String::new();
    File::open(house.file("program.log")).and_then(|mut file| file.read_to_string(&mut text)).expect("a log");
    text
}

#[tokio::test]
async fn signals_drain_the_program_and_a_second_one_ends_it_at_once() {
    let mut house = house(plan("0s", "120s").real_time()).await;
    is_stopped(&mut house).await;
    // In order: what it is sent, whether a WebSocket is open meanwhile, and what it says at the end.
    for (signals, busy, last) in [
        (&["TERM"][..], false, "the gateway has stopped"),
        (&["QUIT"], false, "the gateway has stopped"),
        (&["TERM", "TERM"], true, "told again to stop"),
        (&["TERM", "INT"], true, "told again to stop"),
        (&["INT"], true, "the gateway starts"),
    ] {
        let mut program = Program::is_ready(&house, None).await;
        let ann = house.browser_of("ann").await;
        let _websocket = if busy { Some(opens_websocket(&house, &ann).await) } else { None };
        for (nth, signal) in signals.iter().enumerate() {
            if nth > 0 {
                house.is_closed().await;
            }
            program.is_sent(signal);
        }
        let status = program.ends().await;
        assert_eq!(status.code(), Some(0), "{signals:?}: {status}\n{}", said(&house));
        assert!(said(&house).contains(last), "{signals:?}: no `{last}` in\n{}", said(&house));
    }
}

#[tokio::test]
async fn systemd_is_told_when_it_is_ready_and_how_long_it_may_take_to_stop() {
    let mut house = house(plan("0s", "3s").real_time()).await;
    is_stopped(&mut house).await;
    let systemd = tokio::net::UnixDatagram::bind(house.file("notify")).expect("a socket");
    let mut program = Program::run(&house, None);
    let mut told = [0; 256];
    let length = soon("READY", systemd.recv(&mut told)).await.expect("a datagram");
    assert_eq!(&told[..length], b"READY=1");
    house.asks(&Ask::get("/oauth2/ready")).await;
    program.is_sent("TERM");
    let length = soon("STOPPING", systemd.recv(&mut told)).await.expect("a datagram");
    let text = String::from_utf8_lossy(&told[..length]).into_owned();
    assert_eq!(text, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=13500000");
    assert!(program.ends().await.success());
}

#[tokio::test]
async fn a_socket_that_is_held_for_the_gateway_refuses_nobody_while_it_is_restarted() {
    // Nobody has to notice first: the lead is nothing unless it is configured.
    let mut house = house(Plan::default().server("timeouts = { shutdown = \"60s\" }").real_time()).await;
    is_stopped(&mut house).await;
    let socket = listens_at(house.address()).await;
    let mut program = Program::is_ready(&house, Some(&socket)).await;
    let ann = house.browser_of("ann").await;
    let mut running = begins(&house, &ann, Ask::new("POST", "/upload").with("Content-Length", "10")).await;
    house.backend.sees("the request", |log| log.iter().any(|seen| seen.target == "/upload")).await;
    program.is_sent("TERM");
    is_said_to_drain(&house).await;
    // Nobody is let in, and nobody is refused: this one waits for the next program.
    let mut waits = begins(&house, &ann, Ask::get("/")).await;
    running.send(b"helloworld").await;
    assert_eq!(running.answer().await.expect("an answer").status, 200);
    assert!(program.ends().await.success());
    let mut waits_too = begins(&house, &ann, Ask::get("/")).await;

    let _program = Program::is_ready(&house, Some(&socket)).await;
    for wire in [&mut waits, &mut waits_too] {
        assert_eq!(wire.answer().await.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn whoever_has_a_connection_when_the_listener_is_closed_is_answered_and_not_reset() {
    let house = house(plan("0s", "60s")).await;
    let ann = house.browser_of("ann").await;
    let (address, ask) = (house.address(), Ask::get("/").with("Cookie", &ann.cookies()).bytes(&house.host()));
    let served = tokio::sync::watch::Sender::new(0_u32);
    let mut clients = JoinSet::new();
    for _ in 0..32 {
        let (ask, served) = (ask.clone(), served.clone());
        clients.spawn(async move {
            // Until it is refused: that is no request, and a balancer goes elsewhere.
            while let Ok(stream) = tokio::net::TcpStream::connect(address).await {
                let mut wire = Wire::over(stream);
                wire.send(&ask).await;
                assert_eq!(wire.answer().await.map(|answer| answer.status), Some(200), "no answer after a connection");
                served.send_modify(|served| *served += 1);
            }
        });
    }
    soon("many are served", served.subscribe().wait_for(|served| *served > 500)).await.expect("clients");
    house.drains();
    soon("all are refused", clients.join_all()).await;
    house.has_stopped().await;
}

#[tokio::test]
async fn under_load_a_restart_with_a_held_socket_fails_no_request_and_ends_streams_at_a_short_bound() {
    let mut house = house(Plan::default().server("timeouts = { shutdown = \"2s\" }").real_time()).await;
    is_stopped(&mut house).await;
    let socket = listens_at(house.address()).await;
    let mut program = Program::is_ready(&house, Some(&socket)).await;
    let ann = house.browser_of("ann").await;
    let (address, ask) = (house.address(), Ask::get("/").with("Cookie", &ann.cookies()).bytes(&house.host()));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let served = tokio::sync::watch::Sender::new(0_u32);
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let (ask, stopped, served) = (ask.clone(), stopped.clone(), served.clone());
        clients.spawn(async move {
            let (mut failed, mut longest) = (0_u32, Duration::ZERO);
            while !*stopped.borrow() {
                let began = Stopwatch::start();
                let mut wire = Wire::to(address).await;
                wire.send(&ask).await;
                failed += u32::from(wire.answer().await.is_none_or(|answer| answer.status != 200));
                longest = longest.max(began.elapsed());
                served.send_modify(|served| *served += 1);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (failed, longest)
        });
    }
    // Once with nothing open, and once with a stream that would go on for ever.
    for busy in [false, true] {
        let enough = *served.borrow() + 200;
        soon("many are served", served.subscribe().wait_for(|served| *served >= enough)).await.expect("clients");
        let mut websocket = if busy { Some(opens_websocket(&house, &ann).await) } else { None };
        let told = Stopwatch::start();
        program.is_sent("TERM");
        if let Some(websocket) = &mut websocket {
            websocket.until(GOING_AWAY).await;
            assert!(told.elapsed() >= Duration::from_secs(2), "closed after {:?}", told.elapsed());
        }
        assert!(program.ends().await.success());
        let gone = told.elapsed();
        program = Program::is_ready(&house, Some(&socket)).await;
        println!("stream open: {busy}; gone after {gone:?}, another serves after {:?}", told.elapsed());
    }
    stop.send_replace(true);
    let done = soon("the clients rest", clients.join_all()).await;
    let (asked, failed): (_, u32) = (*served.borrow(), done.iter().map(|one| one.0).sum());
    let longest = done.iter().map(|one| one.1).max().expect("clients");
    println!("{asked} requests, each on a new connection, {failed} failed, the longest took {longest:?}");
    assert_eq!(failed, 0);
}

#[tokio::test]
async fn a_socket_that_is_held_for_an_address_nobody_configured_is_an_error() {
    let mut house = house(Plan::default().real_time()).await;
    is_stopped(&mut house).await;
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut program = Program::run(&house, Some(&socket));
    assert!(!program.ends().await.success());
    let address = socket.local_addr().expect("an address");
    assert!(said(&house).contains(&format!("the socket unit listens at {address}")), "{}", said(&house));
}

/// Stops the gateway in this process, and waits until it has given back what another needs: its addresses, its ledger.
async fn is_stopped(house: &mut House) {
    house.stop();
    for address in [house.address(), house.admin_address()] {
        drop(listens_at(address).await);
    }
    let lock = File::open(house.file("ledger.db.lock")).expect("a lock");
    soon("the ledger is free", async {
        while lock.try_lock().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A listening socket at an address that a gateway has just given back.
async fn listens_at(address: SocketAddr) -> TcpListener {
    soon("the address is free", async {
        loop {
            if let Ok(socket) = TcpListener::bind(address) {
                return socket;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}
