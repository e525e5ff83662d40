//! What a revocation did: whom it met, what it ended and refused, who came back, what may still come.
//!
//! A request that is let through has nothing to do with any of this. One that is refused, and a revocation when it comes,
//! are looked up in a bounded book in memory. The book is kept in the ledger's file: a record with its revocation, in one
//! transaction; what is counted afterwards within a second or so. A gateway that dies in that second has counted too
//! little, and has forgotten no revocation.

mod book;
mod distinct;
mod fleetwide;
mod keeper;
mod look;
mod message;
mod opening;
mod outbox;
mod record;
mod view;
mod webhook;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::sync::Notify;

use self::book::{Book, Seen, Told};
pub use self::distinct::MOST;
use self::fleetwide::Roll;
pub use self::message::{EVENT, Parties};
use self::outbox::{Message, Outbox};
pub use self::record::News;
use self::record::{Met, Record};
pub use self::view::{Amount, AtGateway, Ceilings, Credentials, Left, Outcome, OutcomeList};
pub use self::webhook::Webhook;
use crate::audit::{Audit, Event};
use crate::evidence::{Imprint, Sort};
use crate::exchanges::Ended;
use crate::fleet::Fleet;
use crate::identity::Target;
use crate::ledger::{Ledger, Note, Shelf};
use crate::metrics::Metrics;
use crate::revocation::{Credential, Fact, Lifted, Revocation, RevocationId};
use crate::seal::KeyRing;
use crate::time::{Clock, Timestamp};

/// What is remembered, and how it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Outcomes that are remembered. Beyond it the oldest is forgotten, people's own sign-outs first. About 2 KB each, and
    /// at most 16 MB for credentials that are told apart in all of them together.
    pub most: usize,
    /// What this gateway is called.
    pub gateway: String,
    /// E-mail addresses, phone numbers and session ids are shown as they are, not under pseudonyms; here and in the audit
    /// log.
    pub clear: bool,
    /// How long credentials live.
    pub ceilings: Ceilings,
    /// When others are told what a revocation came to, counted from the moment at which it came.
    pub settle: Duration,
}

/// A credential that was met.
#[derive(Copy, Clone, Debug)]
pub struct Presented<'a> {
    /// What tells it from others.
    pub imprint: Imprint,
    /// As it is judged.
    pub credential: Credential<'a>,
}

/// Records that are to be written together with their revocations.
#[derive(Debug, Default)]
pub struct Begun {
    at: Timestamp,
    /// Each with the version of its page.
    pages: Vec<(RevocationId, u64)>,
    messages: Vec<(u64, Message)>,
    /// What is to be written.
    pub notes: Vec<Note>,
}

/// Which outcomes are wanted.
#[derive(Copy, Clone, Debug)]
pub struct Wanted {
    /// Of revocations that arrived at this moment or later.
    pub since: Timestamp,
    /// Also of people's own sign-outs.
    pub everyday: bool,
    /// At the most so many.
    pub most: usize,
}

/// All outcomes. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Outcomes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    webhook: Option<Webhook>,
    ring: Arc<KeyRing>,
    ledger: Ledger,
    audit: Audit,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// Guards the book and what follows from it. Never held across a wait; no other lock is taken under it.
    state: Mutex<State>,
    /// Something must be written soon.
    changed: Notify,
    /// Something must be sent.
    to_send: Notify,
    /// The other gateways, if there are any.
    fleet: OnceLock<Fleet>,
}

#[derive(Debug)]
struct State {
    book: Book,
    outbox: Outbox,
    /// By the moment at which others are told what each came to.
    unsettled: BTreeSet<(Timestamp, RevocationId)>,
    /// To be handed to the outbox.
    news: Vec<Told>,
    /// No longer to be kept.
    gone: Vec<RevocationId>,
    /// What the ledger said last, until all of it was read.
    replayed: VecDeque<Fact>,
    /// Accepted here, and not known to be in force at all gateways; since when each stands in the log.
    awaited: VecDeque<(RevocationId, Timestamp)>,
}

impl Outcomes {
    /// A revocation is in force, and ended these exchanges.
    pub fn begin(&self, revocation: &Revocation, ended: &Ended) -> RevocationId {
        let id = self.begun(revocation, ended, false);
        self.has_counted();
        id
    }

    fn begun(&self, revocation: &Revocation, ended: &Ended, is_heard: bool) -> RevocationId {
        let now = self.0.clock.now();
        let mut state = self.state();
        let record = |id| Record { is_heard, ..Record::begin(id, revocation.clone(), now) };
        let id = self.opened(&mut state, revocation, is_heard, record);
        let seen = ended.exchanges().flat_map(|exchange| {
            let held = exchange.credentials.iter().filter(|held| held.imprint.sort != Sort::AppCookie);
            held.map(|held| seen(held.imprint, held.in_app(exchange.app)))
        });
        state.book.cut(id, &ended.counts(), seen);
        id
    }

    /// The records of revocations that are about to be written down, and what others are told of them then.
    pub fn to_write(&self, ids: &[RevocationId]) -> Begun {
        let mut begun = Begun { at: self.0.clock.now(), ..Begun::default() };
        let roll = if self.0.webhook.is_some() { self.roll() } else { Roll::default() };
        let mut state = self.state();
        let State { book, outbox, .. } = &mut *state;
        for id in ids {
            let Some((record, version)) = book.versioned(*id) else { continue };
            let mut record = record.clone();
            record.persisted_at = record.persisted_at.or(Some(begun.at));
            // What another gateway accepted, that one tells.
            if record.revision == 0 && !record.is_everyday() && !record.is_heard && self.0.webhook.is_some() {
                record.revision = 1;
                let sent = self.message(outbox, (&record, &roll), News::InForce, begun.at);
                begun.notes.extend(sent.iter().map(|(number, message)| kept_message(*number, message)));
                begun.messages.extend(sent);
            }
            begun.notes.push(kept_record(&record));
            begun.pages.push((*id, version));
        }
        begun
    }

    /// They were written down.
    pub fn written(&self, begun: Begun) {
        let mut state = self.state();
        for (id, version) in begun.pages {
            let told = begun.messages.iter().any(|(_, message)| message.id == id);
            state.book.written(id, version, |record| {
                record.persisted_at = record.persisted_at.or(Some(begun.at));
                record.revision = record.revision.max(u32::from(told));
            });
        }
        for (number, message) in begun.messages {
            state.outbox.put(number, message);
        }
        self.0.metrics.outcomes(state.book.len(), state.outbox.len());
        drop(state);
        self.0.to_send.notify_one();
    }

    /// A request was refused that came with these: the same compromise, not a new one.
    pub fn refused(&self, presented: &[Presented<'_>]) {
        let now = self.0.clock.now();
        let seen: Vec<_> = presented.iter().map(|one| seen(one.imprint, one.credential)).collect();
        let told = self.state().book.refused(&seen, now);
        self.tell(told);
        self.has_counted();
    }

    /// A sign-in was refused: what it proved is not newer.
    pub fn sign_in_refused(&self, credential: &Credential<'_>) {
        self.state().book.sign_in_refused(credential);
        self.has_counted();
    }

    /// Somebody signed in.
    pub fn signed_in(&self, credential: &Credential<'_>) {
        let now = self.0.clock.now();
        let told = self.state().book.signed_in(credential, now);
        self.tell(told);
        self.has_counted();
    }

    /// A hold was lifted.
    pub fn lifted(&self, lifted: &Lifted) {
        self.state().book.lift(lifted);
    }

    /// Forgets what revocations did that are forgotten themselves: with a cut-off before that moment.
    pub fn sweep(&self, horizon: Timestamp) {
        let mut state = self.state();
        let over = state.book.sweep(horizon);
        state.gone.extend(over);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self, record: &Record, roll: &Roll) -> Outcome {
        let Settings { ceilings, gateway, .. } = &self.0.settings;
        record.shown(ceilings, (gateway, roll), |target| self.name_of(target), self.0.clock.now())
    }

    /// An older key of the ring may have named it.
    fn known(&self, book: &Book, revocation: &Revocation) -> RevocationId {
        let mut ids = self.0.ring.hashers().into_iter().map(|hasher| revocation.id(hasher));
        ids.find(|id| book.get(*id).is_some()).unwrap_or_else(|| revocation.id(self.0.ring.hasher()))
    }

    fn opened(
        &self,
        state: &mut State,
        revocation: &Revocation,
        is_heard: bool,
        begin: impl FnOnce(RevocationId) -> Record,
    ) -> RevocationId {
        let id = self.known(&state.book, revocation);
        if state.book.get(id).is_some() {
            // What one gateway tells another was not sent again.
            if !is_heard {
                let again = |record: &mut Record| record.redelivered = record.redelivered.saturating_add(1);
                state.book.change(id, again);
                state.book.is_counted(id);
            }
            return id;
        }
        let record = begin(id);
        if !record.settled {
            state.unsettled.insert((record.in_force_at.plus(self.0.settings.settle), id));
        }
        let gone = state.book.open(record, &self.0.ring.hashers());
        state.gone.extend(gone);
        id
    }

    /// Writes a line about each of `told`, and has others told as well.
    fn tell(&self, told: Vec<Told>) {
        if told.is_empty() {
            return;
        }
        for event in told.iter().copied().filter_map(line) {
            self.0.audit.record(event);
        }
        self.state().news.extend(told);
        self.0.changed.notify_one();
    }

    /// One message about `record`, with its number; `None` if there is no room.
    fn message(
        &self,
        outbox: &mut Outbox,
        (record, roll): (&Record, &Roll),
        news: News,
        now: Timestamp,
    ) -> Option<(u64, Message)> {
        let webhook = self.0.webhook.as_ref()?;
        let Some(number) = outbox.number() else {
            self.0.metrics.outcome_message("no_room");
            tracing::error!(outcome = %record.id, news = news.word(), "the outbox is full: nobody is told");
            return None;
        };
        let name = |target: &Target| self.name_of(target);
        let subject = message::subject(record.revocation.whom.targets(), self.0.settings.clear, name);
        let claims =
            message::claims(&webhook.parties, &self.shown(record, roll), (news, record.revision), &subject, now);
        Some((number, Message { id: record.id, claims }))
    }
}

/// The line about such news in the audit log; what began it has one already.
const fn line((outcome, news): Told) -> Option<Event> {
    match news {
        News::FirstRefusal => Some(Event::RevokedCredentialUsed { outcome }),
        News::SignedInAgain => Some(Event::SignedInAgain { outcome }),
        News::InForce | News::Settled => None,
    }
}

/// What is counted of a credential. Its print is no use to who reads the ledger.
fn seen(imprint: Imprint, credential: Credential<'_>) -> Seen<'_> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[imprint.sort as u8]);
    context.update(&imprint.bits().to_be_bytes());
    if let Some((_, key)) = credential.targets.first() {
        context.update(&key.0.to_be_bytes());
    }
    let print = context.finish().as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    Seen { met: Met { sort: imprint.sort, print, targets: credential.targets }, credential }
}

fn kept_record(record: &Record) -> Note {
    // Serialising plain structs into memory has no failing case.
    let text = serde_json::to_string(record).unwrap_or_default();
    Note { shelf: Shelf::Outcomes, key: record.id.to_string(), text: Some(text) }
}

fn kept_message(number: u64, message: &Message) -> Note {
    let text = serde_json::to_string(message).unwrap_or_default();
    Note { shelf: Shelf::Outbox, key: message_key(number), text: Some(text) }
}

fn message_key(number: u64) -> String {
    format!("{number:016x}")
}

#[cfg(test)]
pub(crate) mod tests;
