//! Hot reload: another config takes the place of the one that runs.
//!
//! # How
//!
//! What can be another stands in one value, an [`Edition`], behind one pointer. A request takes the
//! edition that is there when its head has come and ends with it; a reload makes the next one whole, beside the one that
//! runs, and then moves the pointer. So no request and no signal is judged by a half of each, and a mistake is found before
//! anything has changed. What must not begin again (what is in force, in flight, on disk, told to others) is
//! [`Lasting`] and no part of it. Whatever a config says the same of is taken over: an IdP with its keys, a
//! stream with what is known of it and the task that polls it, the servers of an app with their health. Tasks follow the
//! edition by themselves ([`keeping`](super::keeping)).
//!
//! # All or nothing
//!
//! A config that has a fault, or of which anything waits for a restart ([`waits_for_restart`]), is not taken at all. What
//! runs is always what one file said; nobody has to know which half of it.
//!
//! # Files that the config names
//!
//! Certificates and secrets are renewed by others, who edit no config. They are looked at every few seconds, by content: what
//! a mount of Kubernetes swaps has the same name and perhaps the same time. The same text with the new content is another
//! edition like any other; an edit of the config that nobody asked to take waits until somebody does. What does not fit (half
//! a file, a key of another certificate) is left out with its table, and the old content goes on to count.

mod files;
mod told;
mod watching;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use self::files::{Look, look};
pub(super) use self::watching::{Watching, hangup};
use super::editions::{self, Shapes, Swappable};
use super::keeping::News;
use super::lasting::{Lasting, longest_life};
use super::tls::Certificates;
use crate::admin::{ConfigChange, ConfigFault, ConfigStatus, ReloadAnswer, Token};
use crate::audit::Event;
use crate::config::{Change, Config, Reading, Rewritten, waits_for_restart};
use crate::identity::AppKey;
use crate::proxy::{Current, Edition, Pool};
use crate::time::Timestamp;

/// How long names of new upstreams may take to resolve before an edition goes in force without them.
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);
/// Keys that one audit line names.
const KEYS_TOLD: usize = 32;

/// Puts another config in the place of the one that runs.
pub(super) struct Reloader {
    lasting: Arc<Lasting>,
    current: Current,
    news: News,
    certificates: Certificates,
    token: Token,
    /// One reload at a time.
    running: Mutex<Runs>,
}

/// What is known of the config that runs.
struct Runs {
    reading: Arc<Reading>,
    shapes: Shapes,
    edition: u64,
    since: Timestamp,
    /// What came of the last reload, if it was not taken.
    refused: Option<ReloadAnswer>,
    /// What of the named files is not taken, and has been said to be so.
    left_out: Rewritten,
    stale: Vec<ConfigFault>,
}

/// Why a config is not taken.
enum Refused {
    Restart(Vec<String>),
    Trouble(anyhow::Error),
}

impl Reloader {
    /// The config of the start runs.
    pub(super) fn new(
        (lasting, current, news): (Arc<Lasting>, Current, News),
        (certificates, token): (Certificates, Token),
        (reading, shapes): (Reading, Shapes),
    ) -> Self {
        let since = lasting.clock.now();
        lasting.metrics.config_runs(1, since);
        lasting.metrics.certificates_end(&certificates.ends());
        let (refused, left_out, stale) = (None, Rewritten::default(), Vec::new());
        let runs = Runs { reading: Arc::new(reading), shapes, edition: 1, since, refused, left_out, stale };
        Self { lasting, current, news, certificates, token, running: Mutex::new(runs) }
    }

    /// Which config runs.
    pub(super) async fn status(&self) -> ConfigStatus {
        let runs = self.running.lock().await;
        ConfigStatus {
            file: runs.reading.path().display().to_string(),
            edition: runs.edition,
            since: runs.since,
            refused: runs.refused.clone(),
            stale_files: runs.stale.clone(),
        }
    }

    /// Reads the config again and runs it, if it can be run.
    pub(super) async fn reload(&self, by: &'static str) -> ReloadAnswer {
        let mut runs = self.running.lock().await;
        let path = runs.reading.path().to_owned();
        let read = tokio::task::spawn_blocking(move || Config::load(&path)).await;
        let (result, mut answer) = match read {
            Ok(Ok(config)) => self.take(&mut runs, config).await,
            Ok(Err(faults)) => {
                tracing::error!(%faults, "the config on disk is faulty: the one that ran goes on");
                (
                    "faulty",
                    ReloadAnswer { faults: faults.iter().map(ConfigFault::from).collect(), ..Default::default() },
                )
            }
            Err(_) => {
                ("failed", ReloadAnswer { trouble: Some("it could not be read".to_owned()), ..Default::default() })
            }
        };
        result.clone_into(&mut answer.result);
        (answer.edition, answer.since) = (runs.edition, runs.since);
        answer.file = runs.reading.path().display().to_string();
        self.lasting.metrics.config_reloaded(result);
        self.write_down(by, result, runs.edition, keys_of(&answer));
        let is_taken = matches!(result, "applied" | "unchanged");
        runs.refused = (!is_taken).then(|| answer.clone());
        if is_taken {
            (runs.left_out, runs.stale) = (Rewritten::default(), Vec::new());
        }
        answer
    }

    async fn take(&self, runs: &mut Runs, config: Config) -> (&'static str, ReloadAnswer) {
        let changes = runs.reading.changes(&config.reading);
        let told = changes.iter().map(ConfigChange::from).collect();
        let mut answer = ReloadAnswer { changes: told, ..ReloadAnswer::default() };
        if changes.is_empty() {
            // A comment may be another.
            runs.reading = Arc::new(config.reading);
            return ("unchanged", answer);
        }
        match self.run(runs, config, &changes).await {
            Ok(ended) => {
                tracing::info!(edition = runs.edition, changes = changes.len(), "another config runs");
                answer.ended = ended;
                ("applied", answer)
            }
            Err(Refused::Restart(keys)) => {
                let waits = keys.join(", ");
                tracing::error!(waits, "the config on disk waits for a restart: the one that ran goes on");
                answer.needs_restart = keys;
                ("needs_restart", answer)
            }
            Err(Refused::Trouble(error)) => {
                let trouble = format!("{error:#}");
                tracing::error!(trouble, "the config on disk cannot be run: the one that ran goes on");
                answer.trouble = Some(trouble);
                ("failed", answer)
            }
        }
    }

    /// Looks whether files that the config names are others now, and takes those that fit.
    pub(super) async fn look_at_files(&self) {
        let mut runs = self.running.lock().await;
        let (reading, left_out) = (Arc::clone(&runs.reading), runs.left_out.clone());
        let looked = tokio::task::spawn_blocking(move || look(&reading, &left_out)).await;
        let Ok(Some(Look { stale, fits, mut faults })) = looked else { return };
        runs.left_out = stale;
        let mut taken = Vec::new();
        for config in fits {
            // What was taken before is part of the next one.
            let changes = runs.reading.changes(&config.reading);
            let keys: Vec<_> = changes.iter().map(|change| change.key.clone()).collect();
            match self.run(&mut runs, config, &changes).await {
                Ok(_) => {
                    tracing::info!(
                        edition = runs.edition,
                        keys = keys.join(", "),
                        "files of the config were read again"
                    );
                    taken.extend(keys);
                    break;
                }
                Err(refused) => {
                    faults.extend(keys.into_iter().map(|key| ConfigFault { line: None, key, why: refused.why() }))
                }
            }
        }
        for ConfigFault { key, why, .. } in &faults {
            tracing::error!(key, why, "a file of the config cannot be taken: what was in it before goes on to count");
        }
        for (result, keys) in [("applied", taken), ("refused", faults.iter().map(|fault| fault.key.clone()).collect())]
        {
            if !keys.is_empty() {
                self.lasting.metrics.config_files_reread(result);
                self.write_down("files", result, runs.edition, keys);
            }
        }
        runs.stale = faults;
    }

    fn write_down(&self, by: &'static str, result: &'static str, edition: u64, keys: Vec<String>) {
        let keys = keys.into_iter().take(KEYS_TOLD).collect();
        self.lasting.audit.record(Event::ConfigReloaded { by, result, edition, keys });
    }

    /// Runs `config` in the place of the one that runs; answers how many exchanges of apps ended that are there no longer.
    async fn run(&self, runs: &mut Runs, config: Config, changes: &[Change]) -> Result<usize, Refused> {
        let waits = self.waits(&config, changes);
        if !waits.is_empty() {
            return Err(Refused::Restart(waits));
        }
        let before = self.current.load();
        let shapes = Shapes::of(&config);
        let same = |section: &str, name: &str| {
            let key = format!("{section}.{name}");
            let is_of = |change: &Change| {
                let rest = change.key.strip_prefix(&key);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) || change.key == section
            };
            shapes.get(&key) == runs.shapes.get(&key) && !changes.iter().any(is_of)
        };
        let (tls, admin_token, reading) =
            (config.server.tls.clone(), config.admin.token.clone(), config.reading.clone());
        let next = self.next(config, &before, same).await.map_err(Refused::Trouble)?;
        let gone = self.swap(next, &before);
        self.certificates.replace(&tls);
        self.token.replace(admin_token);
        let ended = gone.into_iter().map(|app| self.lasting.enforcer.end_in(app)).map(|cut| {
            self.lasting.metrics.cut(cut);
            cut.total()
        });
        let ended = ended.sum();
        (runs.edition, runs.since) = (runs.edition + 1, self.lasting.clock.now());
        (runs.reading, runs.shapes) = (Arc::new(reading), shapes);
        self.lasting.metrics.config_runs(runs.edition, runs.since);
        self.lasting.metrics.certificates_end(&self.certificates.ends());
        Ok(ended)
    }

    /// What of `config` waits for a restart.
    fn waits(&self, config: &Config, changes: &[Change]) -> Vec<String> {
        let mut waits: BTreeSet<String> =
            changes.iter().map(|change| change.key.clone()).filter(|key| waits_for_restart(key)).collect();
        let (known, ring) = (self.lasting.ring.ids(), config.keys.ids());
        // Under a key that was not there at the start nothing is in force, and other gateways may seal letters under each.
        let is_new = ring.iter().any(|key| !known.contains(key));
        if is_new || self.lasting.fleet.is_some() && known.iter().any(|key| !ring.contains(key)) {
            waits.insert("keys.files".to_owned());
        }
        // Revocations that such a credential could meet are forgotten.
        if longest_life(config) > self.lasting.longest_life {
            let longer =
                changes.iter().filter(|change| change.key.ends_with("max_age")).map(|change| change.key.clone());
            waits.extend(longer);
            if waits.is_empty() {
                waits.insert("session.max_age".to_owned());
            }
        }
        // What runs in the gateway itself was put together at its start.
        let built_in = |apps: &crate::apps::Apps| {
            apps.iter()
                .filter(|app| app.built_in.is_some())
                .map(|app| (app.name.clone(), format!("{app:?}")))
                .collect::<BTreeSet<_>>()
        };
        let (runs, wanted) = (built_in(&self.lasting.apps.load()), built_in(&config.apps));
        waits.extend(runs.symmetric_difference(&wanted).map(|(app, _)| format!("apps.{app}")));
        let checked: HashSet<_> =
            config.idps.iter().filter(|(_, idp)| idp.revalidate.is_some()).map(|(name, _)| name.as_str()).collect();
        let known: HashSet<_> = self.lasting.checks.keys().map(String::as_str).collect();
        waits.extend(checked.symmetric_difference(&known).map(|idp| format!("idps.{idp}.revalidate")));
        waits.into_iter().collect()
    }

    /// The edition of `config`, with everything of the one before that it says the same of.
    async fn next(
        &self,
        config: Config,
        before: &Edition,
        same: impl Fn(&str, &str) -> bool,
    ) -> anyhow::Result<Edition> {
        let (lasting, was) = (&*self.lasting, before.endpoints.parts());
        let bounds = editions::bounds(&config.server);
        let mut idps = HashMap::new();
        for (name, settings) in config.idps {
            let idp = match was.idps.get(&name) {
                Some(known) if same("idps", &name) => Arc::clone(known),
                known => Arc::new(editions::new_idp(lasting, settings, known)),
            };
            idps.insert(name, idp);
        }
        let is_kept = |name: &String| was.idps.get(name).zip(idps.get(name)).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
        let mut streams = Vec::new();
        for (name, settings) in &config.streams {
            let named = settings.subject_issuers.iter().flat_map(|(_, idps)| idps);
            let stands = same("streams", name) && settings.speaks_for.iter().chain(named).all(is_kept);
            streams.push(match was.streams.get(name).filter(|_| stands) {
                Some(known) => Arc::clone(known),
                None => editions::new_stream(lasting, settings.clone(), &idps)?,
            });
        }
        let mut pools = Vec::new();
        for app in config.apps.with_servers() {
            let known = before.pools.get(&app.name).filter(|pool| pool.serves(app)).cloned();
            pools.push(match known {
                Some(pool) => pool,
                None => {
                    let pool = Pool::of(app)?;
                    pool.resolve(RESOLVE_WITHIN).await;
                    pool
                }
            });
        }
        let (session, ring) = (config.session, Arc::new(config.keys));
        let of =
            Swappable { apps: config.apps, session, streams: config.streams, idps, ring, bounds, look: config.pages };
        Ok(editions::edition(lasting, of, streams, pools))
    }

    /// Puts `next` in the place of `before`; answers which apps are there no longer.
    fn swap(&self, next: Edition, before: &Edition) -> Vec<AppKey> {
        let (lasting, was) = (&*self.lasting, before.endpoints.parts());
        let parts = Arc::clone(&next.endpoints);
        let parts = parts.parts();
        lasting.apps.store(Arc::new(parts.apps.clone()));
        // Who must not get in at the moment does not get in by the new config either.
        let known = |stream: &&Arc<_>| was.streams.values().any(|known| Arc::ptr_eq(known, stream));
        for stream in parts.streams.values().filter(known) {
            stream.shows_to(&parts.apps, lasting.watch());
        }
        if let Some(fleet) = &lasting.fleet {
            super::fleet::darken(lasting, fleet.acts_as(), &parts.apps);
        }
        for (name, checks) in &lasting.checks {
            if let Some(idp) = parts.idps.get(name) {
                let (idp, session, ring) = (Arc::clone(idp), parts.session, Arc::clone(&parts.ring));
                checks.goes_on_with(crate::checks::Of { idp, session, ring });
            }
        }
        let keys: HashSet<AppKey> = parts.apps.iter().map(|app| app.key).collect();
        self.current.swap(next);
        self.news.tell();
        was.apps.iter().map(|app| app.key).filter(|key| !keys.contains(key)).collect()
    }
}

impl Refused {
    fn why(&self) -> String {
        match self {
            Self::Restart(_) => "it waits for a restart".to_owned(),
            Self::Trouble(error) => format!("{error:#}"),
        }
    }
}

fn keys_of(answer: &ReloadAnswer) -> Vec<String> {
    let faults = answer.faults.iter().map(|fault| fault.key.clone());
    answer.changes.iter().map(|change| change.key.clone()).chain(faults).collect()
}
