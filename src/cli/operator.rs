//! `portcullis revoke` and `portcullis status`: what operators ask the running gateway.

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use url::Url;

use super::table::{columns, count, or, table};
use super::{Exit, Outcome, Revoke, Running, Status, Whom};
use crate::admin::{Made, Met, Named, Problem, RevokeAnswer, RevokeRequest};
use crate::config::{AdminSettings, Disk, Files as _};
use crate::identity::is_loopback;
use crate::revocation::Mode;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Asks the running gateway to revoke, and says what that did.
pub(super) fn revoke(typed: Revoke) -> Outcome {
    let json = typed.json;
    let door = match Door::of(&typed.running) {
        Ok(door) => door,
        Err(outcome) => return outcome,
    };
    let request = RevokeRequest {
        idp: typed.idp,
        whom: typed.whom.into(),
        apps: typed.apps,
        mode: typed.mode.into(),
        reason: typed.reason,
        as_of: None,
        dry_run: typed.dry_run,
    };
    // Serialising plain structs with string keys into memory has no failing case.
    let body = serde_json::to_vec(&request).unwrap_or_default();
    match door.call("/v1/revocations", Some(body)) {
        Ok(reply) => revoked(&reply, json),
        Err(outcome) => outcome,
    }
}

impl From<Whom> for Named {
    fn from(whom: Whom) -> Self {
        let Whom { user, email, phone, session, device, tenant, group, everyone } = whom;
        Self { user, email, phone, session, device, tenant, group, everyone }
    }
}

/// Asks the running gateway how it is.
pub(super) fn status(typed: &Status) -> Outcome {
    let reply = Door::of(&typed.running).and_then(|door| door.call("/v1/status", None));
    match reply {
        Ok(reply) if reply.status != 200 => refused(&reply),
        Ok(reply) if typed.json => Outcome::done(reply.text() + "\n"),
        Ok(reply) => reply.read().map_or_else(not_understood, |status| Outcome::done(shown(&status))),
        Err(outcome) => outcome,
    }
}

/// The admin listener of the gateway that is meant.
pub(super) struct Door {
    base: String,
    token: Secret<String>,
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Door {
    pub(super) fn of(running: &Running) -> Result<Self, Outcome> {
        let (Some(url), Some(token_file)) = (&running.admin, &running.token_file) else {
            let admin = AdminSettings::load(&running.config).map_err(|faults| super::faulty(&faults))?;
            return Ok(Self { base: format!("http://{}", admin.listen), token: admin.token });
        };
        let base = Url::parse(url).ok().filter(|url| url.scheme() == "http" && url.host_str().is_some_and(is_loopback));
        // The token travels in the clear: it must not leave this machine.
        let base = base.ok_or_else(|| {
            Outcome::not(Exit::Usage, format!("`{url}` is no loopback address; write `http://127.0.0.1:9090`"))
        })?;
        Ok(Self { base: base.origin().ascii_serialization(), token: token_in(token_file)? })
    }

    /// One call. It has 30 seconds: a revocation is written to disk before it is answered, but not longer than that.
    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn call(&self, path: &str, body: Option<Vec<u8>>) -> Result<Reply, Outcome> {
        // The HTTP client wants one even for plain HTTP. If one is installed already, that is as good.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let send = async {
            let client = reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(Duration::from_secs(30))
                .build()?;
            let url = format!("{}{path}", self.base);
            let request = match body {
                Some(body) => client.post(url).header("content-type", "application/json").body(body),
                None => client.get(url),
            };
            let mut response = request.bearer_auth(self.token.expose()).send().await?;
            let mut reply = Reply { status: response.status().as_u16(), body: Vec::new() };
            while let Some(chunk) = response.chunk().await? {
                if reply.body.len() + chunk.len() > MAX_REPLY {
                    break;
                }
                reply.body.extend_from_slice(&chunk);
            }
            Ok::<_, reqwest::Error>(reply)
        };
        send.await.map_err(|error| {
            let why = if error.is_timeout() { "it does not answer in time" } else { "it cannot be reached" };
            Outcome::not(Exit::Unreachable, format!("the gateway at {}: {why}; nothing is known to be done", self.base))
        })
    }
}

fn token_in(path: &Path) -> Result<Secret<String>, Outcome> {
    let complain = |why: &str| Outcome::not(Exit::Config, format!("{}: {why}", path.display()));
    let file = Disk.read(path).map_err(|error| complain(&error.to_string()))?;
    if file.exposed {
        return Err(complain("it is open to others; `chmod 600` it"));
    }
    let text = std::str::from_utf8(&file.bytes).map_err(|_| complain("it holds no text"))?;
    Ok(Secret::new(text.trim().to_owned()))
}

/// What the answer to a revocation means.
pub(super) fn revoked(reply: &Reply, json: bool) -> Outcome {
    let problem: Option<Problem> = reply.read();
    let done = if reply.status == 200 { reply.read() } else { problem.and_then(|problem| problem.done) };
    let Some(answer) = done else {
        return if reply.status == 200 { not_understood() } else { refused(reply) };
    };
    let says = if json { reply.text() + "\n" } else { told(&answer) };
    if answer.durable || answer.dry_run {
        return Outcome::done(says);
    }
    let complains = "in force, but not written down: a restart would forget it; run the command again".to_owned();
    Outcome { exit: Exit::TryAgain, says, complains }
}

pub(super) fn refused(reply: &Reply) -> Outcome {
    let why = reply.read().map_or_else(
        || format!("status {}", reply.status),
        |problem: Problem| match problem.remedy {
            Some(remedy) => format!("{}; {remedy}", problem.error),
            None => problem.error,
        },
    );
    let exit = match reply.status {
        400..=499 if reply.status != 401 => Exit::Usage,
        401 => Exit::Config,
        _ => Exit::Unreachable,
    };
    Outcome::not(exit, format!("the gateway refuses: {why}"))
}

pub(super) fn not_understood() -> Outcome {
    Outcome::not(Exit::Unreachable, "what answers at the admin address is not this version of the gateway")
}

fn told(answer: &RevokeAnswer) -> String {
    let verb = if answer.dry_run { "would revoke" } else { "revoked" };
    let mut rows: Vec<[String; 2]> = Vec::new();
    for Made { issuer, whom, apps, mode, cut_off, outcome } in &answer.revocations {
        rows.push([verb.to_owned(), format!("{whom}, of {issuer}")]);
        rows.push(["in".to_owned(), or(apps, "every app")]);
        rows.push(["mode".to_owned(), mode.word().to_owned()]);
        let way_back =
            if *mode == Mode::Hold { "nobody gets in until it is lifted" } else { "only a newer login gets in" };
        rows.push(["cut-off".to_owned(), format!("{cut_off}; {way_back}")]);
        if let Some(id) = outcome {
            rows.push(["outcome".to_owned(), format!("{id}; see `portcullis outcomes --id {}`", short(id))]);
        }
    }
    let verb = if answer.dry_run { "would be cut" } else { "cut" };
    rows.push(["in flight".to_owned(), format!("{} {verb}", count(answer.cut, "exchange"))]);
    if answer.met.exchanges > 0 {
        let Met { people, sessions, .. } = answer.met;
        let people = if people == 1 { "1 person".to_owned() } else { format!("{people} people") };
        rows.push(["of".to_owned(), format!("{people}, {}", count(sessions, "session"))]);
    }
    if !answer.dry_run {
        rows.push(["durable".to_owned(), if answer.durable { "yes" } else { "no" }.to_owned()]);
    }
    let mut out = columns(&rows);
    let in_apps = answer.met.apps.iter().map(|met| {
        let kinds: Vec<_> = met.exchanges.iter().map(|(kind, number)| count(*number, kind)).collect();
        [met.app.clone(), met.people.to_string(), met.sessions.to_string(), kinds.join(", ")]
    });
    out.push_str(&table(["app", "people", "sessions", "in flight"], in_apps.collect()));
    let at = answer.gateways.iter().map(|at| {
        [
            at.gateway.clone(),
            at.met.people.to_string(),
            at.met.sessions.to_string(),
            count(at.met.exchanges, "exchange"),
        ]
    });
    out.push_str(&table(["gateway", "people", "sessions", "in flight"], at.collect()));
    if !answer.silent.is_empty() {
        out.push_str(&format!("\nNOT counted, as they did not answer: {}\n", answer.silent.join(", ")));
    }
    if answer.dry_run {
        out.push_str("\nSessions are stored nowhere: who is signed in and has nothing in flight is met as well.\n");
    }
    out
}

/// How the gateway stands among others, in a line.
fn fleet(fleet: &crate::admin::FleetStatus) -> String {
    let age = fleet.age.map(|age| format!(", knows all that is older than {age} s")).unwrap_or_default();
    let behind = fleet.last.saturating_sub(fleet.heard);
    let behind = if behind > 0 { format!(", {behind} letters behind") } else { String::new() };
    let untold = if fleet.untold { ", something is NOT TOLD to the others yet" } else { "" };
    let illegible = if fleet.illegible > 0 {
        format!(", ALARM: {} letters in its log say nothing here", fleet.illegible)
    } else {
        String::new()
    };
    let trouble = fleet.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
    format!("{} ({}){age}{behind}{untold}{illegible}{trouble}", fleet.state, fleet.gateway)
}

/// The other gateways, a line for each.
fn gateways(fleet: Option<&crate::admin::FleetStatus>) -> String {
    let rows = fleet.into_iter().flat_map(|fleet| &fleet.gateways).map(|one| {
        let behind = match one.behind {
            None => "unknown: it speaks of another log".to_owned(),
            Some(0) => "nothing".to_owned(),
            Some(letters) => count(usize::try_from(letters).unwrap_or(usize::MAX), "letter"),
        };
        let state = if one.state == "silent" { "SILENT".to_owned() } else { one.state.clone() };
        [one.name.clone(), one.version.clone(), state, format!("{} s ago", one.heard_ago), behind]
    });
    table(["gateway", "version", "state", "last heard", "behind"], rows.collect())
}

/// As much of an id as people type.
fn short(id: &crate::revocation::RevocationId) -> String {
    id.to_string().chars().take(8).collect()
}

pub(super) fn shown(status: &crate::admin::Status) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let ready =
        if status.ready.ready { yes(true) } else { format!("no: {}", or(&status.ready.reasons, "no reason given")) };
    let records = status.ledger.records.map(|n| format!(", {n} records")).unwrap_or_default();
    let ledger = if status.ledger.durable { "durable" } else { "NOT durable" };
    let mut out = columns(&[
        ["version".to_owned(), format!("{}, since {}", status.version, status.started_at)],
        ["config".to_owned(), super::reload::of(&status.config)],
        ["ready".to_owned(), ready],
        ["revocations".to_owned(), format!("{} in force", status.revocations)],
        ["on hold".to_owned(), count(status.on_hold, "subject")],
        ["approvals".to_owned(), awaiting(status.awaiting_approval)],
        ["in flight".to_owned(), count(status.exchanges, "exchange")],
        ["ledger".to_owned(), format!("{ledger}{records}")],
        ["fleet".to_owned(), status.fleet.as_ref().map_or_else(|| "none: this gateway is alone".to_owned(), fleet)],
    ]);
    out.push_str(&gateways(status.fleet.as_ref()));
    let rows = status
        .apps
        .iter()
        .map(|app| [app.name.clone(), app.url.clone(), format!("{} of {} well", app.healthy, app.upstreams)]);
    out.push_str(&table(["app", "url", "upstreams"], rows.collect()));
    let rows = status.idps.iter().map(|idp| [idp.name.clone(), idp.issuer.clone(), yes(idp.reachable)]);
    out.push_str(&table(["idp", "issuer", "reachable"], rows.collect()));
    for (idp, checks) in status.idps.iter().filter_map(|idp| Some((idp, idp.revalidation.as_ref()?))) {
        out.push_str(&format!("\nsessions of {}: {}\n", idp.name, checks.line()));
    }
    let rows = status.streams.iter().map(|stream| {
        let when = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let polled = if stream.polled { when(stream.last_poll_at) } else { "pushed".to_owned() };
        let (name, issuer, last) = (stream.name.clone(), stream.issuer.clone(), when(stream.last_event_at));
        [name, issuer, polled, last, stream.accepted.to_string(), stream.refused.to_string()]
    });
    out.push_str(&table(["stream", "issuer", "last poll", "last event", "accepted", "refused"], rows.collect()));
    let rows = status.streams.iter().map(|stream| {
        let sign = stream.last_sign_at.map_or_else(|| "none".to_owned(), |at| at.to_string());
        let lag = stream.lag.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds} s"));
        [stream.name.clone(), stream.state.clone(), stream.since.to_string(), sign, lag]
    });
    out.push_str(&table(["stream", "state", "since", "last sign of life", "lag"], rows.collect()));
    let led = status.streams.iter().filter(|_| status.fleet.is_some());
    let rows =
        led.map(|stream| [stream.name.clone(), stream.leader.clone().unwrap_or_else(|| "nobody can tell".to_owned())]);
    out.push_str(&table(["stream", "led by"], rows.collect()));
    for stream in &status.streams {
        for trouble in [&stream.poll_trouble, &stream.trouble].into_iter().flatten() {
            out.push_str(&format!("\nstream {}: {trouble}\n", stream.name));
        }
    }
    out
}

fn awaiting(number: usize) -> String {
    if number == 0 { "nothing awaits".to_owned() } else { format!("{} NOT in force", count(number, "revocation")) }
}

/// Bytes of an answer that are read: a status of hundreds of apps has a tenth of it.
const MAX_REPLY: usize = 1 << 20;
