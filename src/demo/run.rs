//! `portcullis demo`: the toys, a gateway between them, and what to type.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use url::Url;

use super::{Demo, Settings, idp};
use crate::app;
use crate::config::Config;
use crate::seal;
use crate::secret::Secret;
use crate::time::Clock;

/// What every SET of the demo's IdP is addressed to.
const AUDIENCE: &str = "https://gateway.demo";

/// Runs the demo at `port` and the three after it, until Ctrl-C. `state` keeps key and ledger, so that what was revoked
/// stays revoked when the demo is killed and started again.
pub fn run(port: u16, state: Option<PathBuf>) -> anyhow::Result<()> {
    let state = state.unwrap_or_else(|| std::env::temp_dir().join("portcullis-demo"));
    private_directory(&state)?;
    let ports = Ports::from(port)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let settings = Settings {
        idp: ports.loopback(1),
        app: ports.loopback(2),
        gateway: Url::parse(&format!("http://localhost:{port}"))?,
        push_path: "/oauth2/ssf/demo".to_owned(),
        backchannel_path: "/oauth2/backchannel-logout/demo".to_owned(),
        audience: AUDIENCE.to_owned(),
    };
    let demo = runtime.block_on(super::start(&settings, &Clock::System))?;
    let origins = [format!("http://localhost:{port}"), console(port)];
    let at = |path: &str| origins.iter().map(|origin| format!("{origin}{path}")).collect::<Vec<_>>();
    // The same client, which is sent back to two hosts.
    demo.idp.register(idp::Client {
        id: demo.client_id.clone(),
        secret: demo.client_secret.clone(),
        name: "Payroll 2003".to_owned(),
        redirect_uris: at("/oauth2/callback"),
        post_logout_redirect_uris: at("/oauth2/signed_out").into_iter().chain(at("/")).collect(),
        backchannel_logout_uri: Some(format!("http://localhost:{port}{}", settings.backchannel_path)),
    });
    let file = write_config(&state, ports, &demo)?;
    let config = Config::load(&file).map_err(|faults| anyhow!("{faults}"))?;
    app::log_to_stderr(config.log.word());
    let gateway = app::start(config, Clock::System)?;
    print!("{}", banner(port, &demo, &file));
    std::io::stdout().flush()?;
    runtime.block_on(tokio::signal::ctrl_c())?;
    println!();
    drop(gateway);
    drop(demo);
    runtime.shutdown_background();
    Ok(())
}

/// Where the console is: on a host of its own, which every browser takes for this machine.
fn console(port: u16) -> String {
    format!("http://console.localhost:{port}")
}

/// Four ports in a row: gateway, IdP, app, admin.
#[derive(Copy, Clone)]
struct Ports(u16);

impl Ports {
    fn from(first: u16) -> anyhow::Result<Self> {
        if (1..=u16::MAX - 3).contains(&first) {
            Ok(Self(first))
        } else {
            bail!("`{first}` leaves no room for the three ports after it")
        }
    }

    fn loopback(self, offset: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.0.saturating_add(offset)))
    }
}

/// A directory that only this user can look into. One that somebody else made is refused.
fn private_directory(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("`{}` cannot be made: name another directory with --state", path.display()))?;
    let found = fs::symlink_metadata(path)?;
    let mine = fs::metadata("/proc/self").map_or_else(|_| found.uid(), |own| own.uid());
    if !found.is_dir() || found.uid() != mine || found.permissions().mode() & 0o077 != 0 {
        bail!("`{}` is open to others: remove it, or name another directory with --state", path.display());
    }
    Ok(())
}

/// The gateway's config, as an operator would write it.
fn write_config(state: &Path, ports: Ports, demo: &Demo) -> anyhow::Result<PathBuf> {
    let key = state.join("ring.key");
    if !key.exists() {
        let text = seal::generate_key().ok_or_else(|| anyhow!("the system has no randomness to give"))?;
        write_private(&key, &text)?;
    }
    write_private(&state.join("client.secret"), &demo.client_secret)?;
    write_private(&state.join("push.token"), &demo.push_token)?;
    write_private(&state.join("manage.token"), &demo.management_token)?;
    write_private(&state.join("admin.token"), &Secret::new(super::random_id()))?;
    let text = format!(
        r#"# Written by `portcullis demo` at every start.
[server]
listen = ["{gateway}"]
[admin]
listen = "{admin}"
token_file = "admin.token"
[keys]
files = ["ring.key"]
[ledger]
path = "ledger.db"
[audit]
to = "audit.log"
[log]
level = "warn"

[idps.demo]
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "client.secret"
commands = {{}}

[streams.demo]
issuer = "{issuer}"
audience = ["{AUDIENCE}", "http://localhost:{port}"]
delivery = "push"
push_token_file = "push.token"
speaks_for = ["demo"]
manage = {{ push_url = "http://localhost:{port}/oauth2/ssf/demo", token_file = "manage.token" }}

[apps.payroll]
url = "http://localhost:{port}"
upstreams = ["http://{app}"]
idp = "demo"
derived = [{{ path = "/api/token", response = ["/access_token", "/refresh_token"], request = "refresh_token" }}]

[apps.console]
url = "{console}"
upstreams = ["builtin:console"]
idp = "demo"
allow = {{ groups = ["security"] }}
"#,
        gateway = ports.loopback(0),
        admin = ports.loopback(3),
        issuer = demo.issuer,
        client = demo.client_id,
        port = ports.0,
        app = demo.app_addr,
        console = console(ports.0),
    );
    let file = state.join("portcullis.toml");
    write_private(&file, &Secret::new(text))?;
    Ok(file)
}

fn write_private(path: &Path, text: &Secret<String>) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("`{}` cannot be written", path.display()))?;
    Ok(file.write_all(text.expose().as_bytes())?)
}

fn banner(port: u16, demo: &Demo, config: &Path) -> String {
    let program = std::env::current_exe().map_or_else(|_| "portcullis".to_owned(), |path| path.display().to_string());
    let names = demo.sign_in_names().join(", ");
    let email = demo.idp.people().into_iter().next().map(|person| person.email).unwrap_or_default();
    format!(
        r"
  Portcullis demo: a toy IdP, an old payroll app, and the gateway between them.

    open      http://localhost:{port}/
    sign in   as {names}   (password: {password})

  Then say that it is over, and watch the page:

    at the IdP      {curl}
    or at its desk  {desk}
    in the console  {console}/kill   (sign in as eve)
    as operator     {program} revoke -c {config} --email {email}

  What happened is in   {audit}
  Ctrl-C ends the demo. What was revoked stays revoked when it starts again.

",
        console = console(port),
        password = idp::PASSWORD,
        curl = demo.revoke_command("ann"),
        desk = demo.desk(),
        config = config.display(),
        audit = config.with_file_name("audit.log").display(),
    )
}
