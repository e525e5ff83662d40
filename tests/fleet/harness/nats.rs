//! Real NATS servers with JetStream: one, or several in a cluster.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Scratch, own_address, signal, until};

/// How servers are set up.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The loopback address that they will have to themselves.
    pub(crate) address: String,
    /// Where their files go.
    pub(crate) scratch: Scratch,
    /// How many.
    pub(crate) servers: usize,
    /// Each write reaches the disk before it is acknowledged.
    pub(crate) sync_always: bool,
    /// What else stands in the config file of each: `authorization`, `tls`.
    pub(crate) more: String,
}

impl Plan {
    /// So many servers that keep what they acknowledge.
    pub(crate) fn of(servers: usize) -> Self {
        let (address, scratch) = (own_address(), Scratch::new("nats"));
        Self { address, scratch, servers, sync_always: true, more: String::new() }
    }

    /// With more in the config file.
    pub(crate) fn with(self, more: impl Into<String>) -> Self {
        Self { more: more.into(), ..self }
    }
}

/// Servers that run, on a loopback address of their own. They end with this.
#[derive(Debug)]
pub(crate) struct Nats {
    address: String,
    servers: Vec<Server>,
    scratch: Scratch,
}

#[derive(Debug)]
struct Server {
    config: PathBuf,
    log: PathBuf,
    client: u16,
    monitor: u16,
    running: Mutex<Option<Child>>,
}

impl Nats {
    /// Starts servers after `plan`; returns when all of them serve.
    pub(crate) async fn start(plan: Plan) -> Self {
        let Plan { address, scratch, .. } = plan;
        let ports: Vec<[u16; 3]> = (0..plan.servers).map(|_| free_ports(&address)).collect();
        let routes: Vec<_> = ports.iter().map(|[_, _, route]| format!("nats-route://{address}:{route}")).collect();
        let sync = if plan.sync_always { ", sync_interval: always" } else { "" };
        let mut servers = Vec::new();
        for (n, [client, monitor, route]) in ports.iter().enumerate() {
            let cluster = if plan.servers > 1 {
                format!("cluster {{ name: c, listen: \"{address}:{route}\", routes: [{}] }}\n", routes.join(", "))
            } else {
                String::new()
            };
            let store = scratch.path().join(format!("store-{n}"));
            let config = format!(
                "server_name: n{n}\nlisten: \"{address}:{client}\"\nhttp: \"{address}:{monitor}\"\n\
                 jetstream {{ store_dir: \"{}\"{sync} }}\n{cluster}{}\n",
                store.display(),
                plan.more
            );
            servers.push(Server {
                config: scratch.file(&format!("n{n}.conf"), &config),
                log: scratch.path().join(format!("n{n}.log")),
                client: *client,
                monitor: *monitor,
                running: Mutex::new(None),
            });
        }
        let nats = Self { address, servers, scratch };
        for server in &nats.servers {
            server.launch();
        }
        for n in 0..nats.servers.len() {
            nats.serves(n).await;
        }
        nats
    }

    /// What clients connect to.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("nats://{}:{}", self.address, server.client)).collect()
    }

    /// The same as host and port.
    pub(crate) fn clients(&self) -> Vec<(String, u16)> {
        self.servers.iter().map(|server| (self.address.clone(), server.client)).collect()
    }

    /// Where the servers tell how they are.
    pub(crate) fn monitoring(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("http://{}:{}", self.address, server.monitor)).collect()
    }

    /// Changes the config file of a killed one.
    pub(crate) fn change(&self, n: usize, from: &str, to: &str) {
        let path = &self.servers[n].config;
        let before = std::fs::read_to_string(path).expect("its config");
        assert!(before.contains(from), "`{from}` is not in its config");
        std::fs::write(path, before.replace(from, to)).expect("its config");
    }

    /// Where files for this test can be put.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    /// Kills one as `kill -9` does.
    pub(crate) fn kill(&self, n: usize) {
        self.servers[n].kill();
    }

    /// Starts a killed one again; returns when it serves.
    pub(crate) async fn restart(&self, n: usize) {
        self.servers[n].launch();
        self.serves(n).await;
    }

    /// Stops one where it stands.
    pub(crate) fn pause(&self, n: usize) {
        signal(self.servers[n].process(), "STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self, n: usize) {
        signal(self.servers[n].process(), "CONT");
    }

    /// Waits until the server says of itself that it is healthy: JetStream runs, and what it has is up to date. One of
    /// a cluster is that only when it has found a leader.
    async fn serves(&self, n: usize) {
        let server = &self.servers[n];
        let what = format!("a NATS server serves; its log: {}", server.log.display());
        until(&what, || async {
            server.is_running();
            let answer = self.ask(n, "/healthz").await?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
    }

    /// One server's answer on its monitoring address.
    async fn ask(&self, n: usize, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect((self.address.as_str(), self.servers[n].monitor)).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer.replacen("HTTP/1.0", "HTTP/1.1", 1))
    }
}

impl Server {
    fn launch(&self) {
        let out = std::fs::File::options().create(true).append(true).open(&self.log).expect("a log");
        let child = Command::new(program())
            .arg("-c")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log"))
            .stderr(out)
            .spawn()
            .expect("the NATS server starts");
        let before = self.running.lock().expect("no panic").replace(child);
        assert!(before.is_none(), "it runs already");
    }

    fn kill(&self) {
        if let Some(mut child) = self.running.lock().expect("no panic").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn process(&self) -> u32 {
        self.running.lock().expect("no panic").as_ref().expect("it runs").id()
    }

    /// Fails with what the server said last, if it has ended by itself.
    fn is_running(&self) {
        let ended = self.running.lock().expect("no panic").as_mut().and_then(|child| child.try_wait().ok().flatten());
        if let Some(status) = ended {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("the NATS server ended by itself ({status}); it said:\n{said}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three ports that nobody listens on. The address is ours, so nobody takes them before the server does.
fn free_ports(address: &str) -> [u16; 3] {
    let held = [(); 3].map(|()| std::net::TcpListener::bind((address, 0)).expect("a free port"));
    held.map(|listener| listener.local_addr().expect("its address").port())
}

/// The server that `tests/setup` installed, else the system's.
fn program() -> PathBuf {
    let target = option_env!("CARGO_TARGET_DIR").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/target"));
    let tools = PathBuf::from(target).join("tools");
    let mut found: Vec<_> = std::fs::read_dir(&tools)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("nats-server-"))
        .map(|entry| entry.path().join("nats-server"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("there is no NATS server in {}: run tests/setup", tools.display()))
}
