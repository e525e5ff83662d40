//! A gateway that is told to stop: it says so, ends what it has begun, and forgets nothing that it is told meanwhile.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use portcullis::time::Stopwatch;
use serde_json::json;

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
        command.stdout(Stdio::null()).stderr(log);
        Self(command.spawn().expect("the program starts"))
    }

    /// The same, and waits until it is ready.
    async fn is_ready(house: &House, socket: Option<&TcpListener>) -> Self {
        let program = Self::run(house, socket);
        soon("the program is ready", async {
            let ready = Ask::get("/ready").with("Connection", "close").bytes("localhost");
            loop {
                if tokio::net::TcpStream::connect(house.admin_address()).await.is_ok()
                    && Wire::once(house.admin_address(), &ready).await.status == 200
                {
                    return;
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
    house.stop();
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
async fn a_socket_that_is_held_for_the_gateway_refuses_nobody_while_it_is_restarted() {
    let mut house = house(Plan::default().server("timeouts = { shutdown = \"60s\" }").real_time()).await;
    house.stop();
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
async fn a_socket_that_is_held_for_an_address_nobody_configured_is_an_error() {
    let mut house = house(Plan::default().real_time()).await;
    house.stop();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut program = Program::run(&house, Some(&socket));
    assert!(!program.ends().await.success());
    let address = socket.local_addr().expect("an address");
    assert!(said(&house).contains(&format!("the socket unit listens at {address}")), "{}", said(&house));
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
