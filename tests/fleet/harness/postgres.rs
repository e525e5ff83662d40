//! A real PostgreSQL server, and standbys of it. It refuses to run as root: then it runs as `postgres` or `nobody`.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use portcullis::fleet::Engine;
use portcullis::fleet::postgres::{self, Host, Schema, Settings};
use portcullis::secret::Secret;
use tokio_postgres::{Client, NoTls};

use super::stage::Stage;
use super::{Scratch, own_address, signal, until};

/// A server on a loopback address of its own. It ends with this.
#[derive(Debug)]
pub(crate) struct Postgres {
    address: String,
    port: u16,
    data: PathBuf,
    running: Mutex<Option<Child>>,
    /// Standbys lie in the scratch directory of their primary.
    scratch: Arc<Scratch>,
}

impl Postgres {
    /// Starts one with these lines more in its config; returns when it serves, has the database `fleet` and in it the
    /// user `gateway`, who may make a schema.
    pub(crate) async fn start(more: &[&str]) -> Self {
        let scratch = Scratch::new("postgres");
        give_away(scratch.path());
        let data = scratch.path().join("data");
        copy(template(), &data);
        let postgres = Self::at(data, Arc::new(scratch));
        postgres.configure(&[]);
        postgres.configure(more);
        postgres.launch();
        let admin = postgres.admin("postgres").await;
        let make = format!("CREATE ROLE gateway LOGIN PASSWORD '{PASSWORD}'");
        admin.batch_execute(&make).await.expect("a role");
        admin.batch_execute("CREATE DATABASE fleet OWNER gateway").await.expect("a database");
        postgres
    }

    /// A standby that has what this server has and follows it.
    pub(crate) async fn standby(&self, name: &str) -> Self {
        let data = self.scratch.path().join(name);
        let mut copy = program("pg_basebackup");
        copy.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-password"]);
        copy.args(["--host", &self.address, "--port", &self.port.to_string(), "--username", "postgres", "--pgdata"]);
        run(copy.arg(&data).env("PGPASSWORD", PASSWORD).env("PGAPPNAME", name));
        let standby = Self::at(data, Arc::clone(&self.scratch));
        standby.configure(&["hot_standby = on"]);
        standby.launch();
        standby.admin("postgres").await;
        standby
    }

    fn at(data: PathBuf, scratch: Arc<Scratch>) -> Self {
        let address = own_address();
        let listener = std::net::TcpListener::bind((address.as_str(), 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        Self { address, port, data, running: Mutex::new(None), scratch }
    }

    fn configure(&self, more: &[&str]) {
        use std::io::Write as _;
        let own = [
            format!("listen_addresses = '{}'", self.address),
            format!("port = {}", self.port),
            format!("unix_socket_directories = '{}'", self.scratch.path().display()),
        ];
        let config = std::fs::File::options().append(true).open(self.data.join("postgresql.conf"));
        let mut config = config.expect("the config");
        for line in own.iter().map(String::as_str).chain(more.iter().copied()) {
            writeln!(config, "{line}").expect("a line");
        }
    }

    /// Adds lines to its config and lets it read them.
    pub(crate) async fn set(&self, more: &[&str]) {
        self.configure(more);
        self.admin("postgres").await.batch_execute("SELECT pg_reload_conf()").await.expect("it reads its config");
    }

    /// From now on gateways come in by TLS or not at all.
    pub(crate) async fn only_with_tls(&self) {
        self.let_in("hostssl all gateway all scram-sha-256\nhost all postgres all scram-sha-256\n").await;
    }

    /// From now on gateways come in by their certificate or not at all.
    pub(crate) async fn only_with_a_client_certificate(&self) {
        self.let_in("hostssl all gateway all cert\nhost all postgres all scram-sha-256\n").await;
    }

    async fn let_in(&self, whom: &str) {
        std::fs::write(self.data.join("pg_hba.conf"), whom).expect("who may come in");
        self.set(&[]).await;
    }

    /// A superuser's connection.
    pub(crate) async fn admin(&self, database: &str) -> Client {
        self.client("postgres", database).await
    }

    /// A connection of one of its users.
    pub(crate) async fn client(&self, user: &str, database: &str) -> Client {
        let log = self.data.join("log");
        until(&format!("PostgreSQL serves; its log: {}", log.display()), || async {
            self.is_running();
            let mut config = tokio_postgres::Config::new();
            config.host(&self.address).port(self.port).user(user).dbname(database).password(PASSWORD);
            let (client, connection) = config.connect(NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(client)
        })
        .await
    }

    /// How gateways reach it.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            hosts: vec![self.host()],
            database: "fleet".to_owned(),
            user: "gateway".to_owned(),
            password: Some(Secret::new(PASSWORD.to_owned())),
            schema: Schema::default(),
            tls: None,
            deadline: DEADLINE,
            synchronous_standbys: 0,
            allow: vec![],
        }
    }

    /// Its address and port.
    pub(crate) fn host(&self) -> Host {
        Host::Tcp(self.address.clone(), self.port)
    }

    /// The directory of its socket.
    pub(crate) fn socket(&self) -> Host {
        Host::Socket(self.scratch.path().to_owned(), self.port)
    }

    /// Its data directory, where its certificates may lie.
    pub(crate) fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.scratch.file(name, content);
        give_away(&path);
        path
    }

    /// Another gateway's engine.
    pub(crate) fn engine(&self) -> postgres::Postgres {
        postgres::Postgres::new(self.settings()).expect("an engine")
    }

    /// Kills it as `kill -9` does, with all its processes, as the end of a machine would.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.running.lock().expect("no panic").take() {
            let children = children_of(child.id());
            let _ = child.kill();
            let _ = child.wait();
            for process in children {
                let _ = Command::new("kill").args(["-KILL", &process.to_string()]).stderr(Stdio::null()).status();
            }
        }
    }

    /// Starts it again; returns when it serves.
    pub(crate) async fn restart(&self) {
        self.launch();
        self.admin("postgres").await;
    }

    /// Stops it where it stands, with all its processes.
    pub(crate) fn pause(&self) {
        let process = self.process();
        // First the one that would start others.
        signal(process, "STOP");
        children_of(process).into_iter().for_each(|process| signal(process, "STOP"));
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        let process = self.process();
        children_of(process).into_iter().for_each(|process| signal(process, "CONT"));
        signal(process, "CONT");
    }

    fn launch(&self) {
        let out = std::fs::File::options().create(true).append(true).open(self.data.join("log")).expect("a log");
        let mut command = program("postgres");
        command.arg("-D").arg(&self.data).stdin(Stdio::null());
        let child = command.stdout(out.try_clone().expect("a log")).stderr(out).spawn().expect("PostgreSQL starts");
        let before = self.running.lock().expect("no panic").replace(child);
        assert!(before.is_none(), "it runs already");
    }

    fn process(&self) -> u32 {
        self.running.lock().expect("no panic").as_ref().expect("it runs").id()
    }

    /// Fails with what the server said last, if it has ended by itself.
    fn is_running(&self) {
        let ended = self.running.lock().expect("no panic").as_mut().and_then(|child| child.try_wait().ok().flatten());
        if let Some(status) = ended {
            let said = std::fs::read_to_string(self.data.join("log")).unwrap_or_default();
            panic!("PostgreSQL ended by itself ({status}); it said:\n{said}");
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

#[async_trait]
impl Stage for Postgres {
    async fn engine(&self) -> Box<dyn Engine> {
        Box::new(Self::engine(self))
    }

    fn servers(&self) -> usize {
        1
    }

    fn kill(&self, _server: usize) {
        Self::kill(self);
    }

    async fn start(&self, _server: usize) {
        self.restart().await;
    }

    fn pause(&self, _server: usize) {
        Self::pause(self);
    }

    fn resume(&self, _server: usize) {
        Self::resume(self);
    }

    async fn delete_log(&self) {
        let admin = self.admin("fleet").await;
        admin.batch_execute("DROP SCHEMA portcullis CASCADE").await.expect("it goes");
    }

    fn addresses(&self) -> Vec<(String, u16)> {
        vec![(self.address.clone(), self.port)]
    }

    fn fleet(&self, addresses: &[(String, u16)]) -> String {
        let hosts: Vec<_> = addresses.iter().map(|(host, port)| format!("\"{host}:{port}\"")).collect();
        format!(
            "[fleet]\nengine = \"postgres\"\nstale_after = \"6s\"\n[fleet.postgres]\nhosts = [{}]\n\
             database = \"fleet\"\nuser = \"gateway\"\npassword = \"{PASSWORD}\"\nsynchronous_standbys = 0\n",
            hosts.join(", "),
        )
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn deaf_at_most(&self) -> Duration {
        DEADLINE + Duration::from_secs(1)
    }
}

/// What every server begins with: making it takes seconds, copying it does not. It stays among the build's own files.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let initdb = program("initdb");
        let version =
            Path::new(initdb.get_program()).canonicalize().expect("a program").to_string_lossy().replace('/', "-");
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres{version}"));
        if !kept.exists() {
            make_template(initdb, &kept);
        }
        kept
    })
}

fn make_template(mut initdb: Command, kept: &Path) {
    let scratch = Scratch::new("postgres-template");
    give_away(scratch.path());
    let password = scratch.file("password", PASSWORD);
    give_away(&password);
    let data = scratch.path().join("data");
    initdb.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    run(initdb.arg("--pwfile").arg(password).arg("--pgdata").arg(&data));
    let config = data.join("postgresql.conf");
    let text = std::fs::read_to_string(&config).expect("the config");
    std::fs::write(&config, format!("{text}{CONFIG}")).expect("the config");
    // Whole or not at all: another test run may make the same.
    let new = kept.with_extension(std::process::id().to_string());
    copy(&data, &new);
    if std::fs::rename(&new, kept).is_err() {
        std::fs::remove_dir_all(&new).expect("another was faster");
    }
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// Runs it to its end; fails with what it said.
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One of PostgreSQL's programs, as the user that it may run as.
fn program(name: &str) -> Command {
    let mut places: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .collect();
    versions.sort_unstable();
    let debian = |version: &u32| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    places.splice(0..0, versions.iter().rev().map(debian));
    let found = places.into_iter().map(|place| place.join(name)).find(|path| path.is_file());
    let mut command = Command::new(found.unwrap_or_else(|| panic!("there is no `{name}`: run tests/setup")));
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/");
    command
}

fn give_away(path: &Path) {
    if let Some((user, group)) = other_user() {
        chown(path, Some(user), Some(group)).expect("another owner");
    }
}

/// Whom the servers run as, if we are root.
fn other_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").expect("this process").uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("the users");
    let named = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(named("postgres").or_else(|| named("nobody")).expect("a user who is not root"))
}

/// The processes that this one started.
fn children_of(process: u32) -> Vec<u32> {
    let parent = format!("PPid:\t{process}");
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line == parent)
        })
        .collect()
}

/// What everybody signs in with.
pub(crate) const PASSWORD: &str = "it is only a test";
/// By when every call ends.
pub(crate) const DEADLINE: Duration = Duration::from_secs(4);
/// A small server that keeps what it acknowledges.
const CONFIG: &str = "
shared_buffers = 32MB
max_connections = 60
fsync = on
synchronous_commit = on
wal_level = replica
max_wal_size = 2GB
log_min_messages = warning
";
