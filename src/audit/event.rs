//! What is worth a line.

use serde::Serialize;

use super::Way;
use super::fields::{bounded, bounded_all, bounded_option, first_eight, readable, without_query};
use crate::revocation::{Mode, RevocationId};
use crate::time::Timestamp;

/// What is worth a line. `user` is the IdP's `sub`; sessions show the first eight characters of their id, requests
/// their method and path without the query. Tokens, cookies and e-mail addresses have no place here.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The gateway is about to accept requests.
    Started {
        /// Its version.
        version: &'static str,
        /// Revocations that the ledger put in force.
        revocations: usize,
    },
    /// The config was to be read again, or files that it names had changed.
    ConfigReloaded {
        /// Who wanted that: `operator`, `signal`, or `files` that had changed.
        by: &'static str,
        /// The word of what came of it.
        result: &'static str,
        /// How many configs have run since the start.
        edition: u64,
        /// The keys that are different, or at fault; never values.
        #[serde(serialize_with = "bounded_all")]
        keys: Vec<String>,
    },
    /// Somebody signed in.
    SignedIn {
        /// To which app they wanted.
        app: String,
        /// Who says who they are.
        idp: String,
        /// Their `sub`.
        user: String,
        /// The new session.
        #[serde(serialize_with = "first_eight")]
        session: String,
    },
    /// The IdP sent somebody back, and they were not let in.
    SignInRefused {
        /// To which app they wanted.
        app: String,
        /// From where they came.
        idp: String,
        /// Their `sub`, if the assertion got as far as being believed.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The word of the reason.
        #[serde(serialize_with = "bounded")]
        why: String,
    },
    /// The IdP, asked whether a session still stands, did not say yes.
    SessionRefused {
        /// The IdP.
        idp: String,
        /// The word for how it was asked.
        by: &'static str,
        /// The person's `sub`; empty if nobody knows any more.
        user: String,
        /// The session.
        #[serde(serialize_with = "first_eight")]
        session: String,
        /// What it said, or did not say.
        why: &'static str,
    },
    /// Somebody signed out.
    SignedOut {
        /// In which app.
        app: String,
        /// Who had said who they are.
        idp: String,
        /// Their `sub`.
        user: String,
        /// The session that is over.
        #[serde(serialize_with = "first_eight")]
        session: String,
    },
    /// A request came with a credential that was revoked.
    RequestRefused {
        /// For which app.
        app: String,
        /// Who had said who they are.
        idp: String,
        /// Their `sub`.
        user: String,
        /// Their session.
        #[serde(serialize_with = "first_eight")]
        session: String,
        /// What the revocation demands.
        mode: Mode,
        /// Since when.
        #[serde(serialize_with = "readable")]
        cut_off: Timestamp,
        /// Method and path.
        #[serde(serialize_with = "without_query")]
        request: String,
    },
    /// Somebody signed in to the console did something, or tried to.
    Operated {
        /// The console.
        app: String,
        /// Who says who they are.
        idp: String,
        /// Their `sub`.
        user: String,
        /// Their session.
        #[serde(serialize_with = "first_eight")]
        session: String,
        /// What they did: `revoke`, `lift`, `approve`, `reject`, or what is done with a stream.
        action: &'static str,
        /// What it was about: the kinds of handle that name somebody, or the stream. Whom they name stands in the lines of
        /// the revocations.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        about: Vec<String>,
        /// The revocations that it made, or decided on.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        outcomes: Vec<RevocationId>,
        /// What came of it: `done`, or the word or status of what was wrong.
        #[serde(serialize_with = "bounded")]
        result: String,
        /// Why, in the operator's words.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// A revocation is not in force and awaits approval.
    AwaitingApproval {
        /// Its name.
        revocation: String,
        /// Whom it names, with pseudonyms for addresses and sessions.
        #[serde(serialize_with = "bounded")]
        target: String,
        /// What it would do.
        mode: Mode,
        /// By which way it came.
        #[serde(flatten)]
        way: Way,
    },
    /// Somebody decided on what awaited approval, or time did.
    Decided {
        /// The revocation's name.
        revocation: String,
        /// It is in force now, or dropped.
        approved: bool,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// A hold was lifted.
    Lifted {
        /// Whom it names, with pseudonyms for addresses and sessions.
        #[serde(serialize_with = "bounded")]
        target: String,
        /// Holds from before this moment are lifted.
        #[serde(serialize_with = "readable")]
        at: Timestamp,
        /// False if nobody was on hold by that name.
        was_held: bool,
        /// By which way it came.
        #[serde(flatten)]
        way: Way,
        /// The apps that it is limited to.
        #[serde(skip_serializing_if = "Option::is_none")]
        app: Option<String>,
        /// The reason in the sender's words.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// A revocation was put in force.
    Revoked {
        /// Its id.
        outcome: RevocationId,
        /// Whom it names, with pseudonyms for addresses and sessions.
        #[serde(serialize_with = "bounded")]
        target: String,
        /// What it demands.
        mode: Mode,
        /// Assertions up to this moment are over.
        #[serde(serialize_with = "readable")]
        cut_off: Timestamp,
        /// By which way it came.
        #[serde(flatten)]
        way: Way,
        /// The apps that it is limited to.
        #[serde(skip_serializing_if = "Option::is_none")]
        app: Option<String>,
        /// Exchanges that it ended.
        cut: usize,
        /// The reason in the sender's words.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// A credential that a revocation covers was used, the first since. Further ones are the same compromise: the outcome
    /// counts them.
    RevokedCredentialUsed {
        /// The revocation's id.
        outcome: RevocationId,
    },
    /// Somebody whom a revocation met signed in again, the first since.
    SignedInAgain {
        /// The revocation's id.
        outcome: RevocationId,
    },
    /// The webhook's receiver refused a message until it was given up.
    OutcomeNotTold {
        /// The revocation's id.
        outcome: RevocationId,
        /// What the receiver answered.
        status: u16,
    },
    /// A signal was refused.
    SignalRejected {
        /// By which way it came.
        #[serde(flatten)]
        way: Way,
        /// The word of the reason.
        #[serde(serialize_with = "bounded")]
        why: String,
    },
    /// A stream is another than before: whether it can be relied on.
    StreamChanged {
        /// Which.
        stream: String,
        /// The word of what it was.
        from: &'static str,
        /// The word of what it is.
        to: &'static str,
        /// What is wrong with its management, if that is known.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// This gateway knows what the others know, or does so no longer.
    FleetChanged {
        /// The word of how it was.
        from: &'static str,
        /// The word of how it is.
        to: &'static str,
        /// What is wrong with the engine, if that is known.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
        why: Option<String>,
    },
    /// Somebody who is no gateway of the fleet may have its log in hand.
    FleetAlarm {
        /// What shows that.
        #[serde(serialize_with = "bounded")]
        what: String,
    },
    /// A revocation that this gateway accepted is in force at every gateway that can be heard; or some have not said so for a
    /// while.
    FleetApplied {
        /// Its id.
        outcome: RevocationId,
        /// The gateways that have applied it.
        applied_by: Vec<String>,
        /// Those that are there and have not said so.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        behind: Vec<String>,
        /// Those that were not heard of.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        silent: Vec<String>,
    },
    /// Revocations are in force here, but other gateways may not know of them yet.
    FleetUntold {
        /// How many.
        revocations: usize,
        /// What failed.
        #[serde(serialize_with = "bounded")]
        why: String,
    },
    /// Revocations are in force but not on disk.
    LedgerFailed {
        /// How many.
        revocations: usize,
        /// What failed.
        #[serde(serialize_with = "bounded")]
        why: String,
    },
}
