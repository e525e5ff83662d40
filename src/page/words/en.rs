//! English.

use super::Passage;
use crate::page::saying::{Label, Mismatch, Saying};

pub(super) const fn passage(of: Saying) -> Passage {
    match of {
        Saying::SignedOut => {
            ["You are signed out", "Your session in this browser is over.", "You can close this tab, or sign in again."]
        }
        Saying::SignOutAsked => ["Sign out?", "A page of another site asks to sign you out.", ""],
        Saying::SessionEnded => [
            "Your session has ended",
            "Your organisation ended this session. Everything that was open in it has stopped.",
            "To go on, sign in again. An earlier login does not count: you will be asked to prove who you are.",
        ],
        Saying::LoginNotFresh => [
            "A new login is needed",
            "{idp} answered with a login from before your session was ended. It cannot be used again.",
            "Try again and enter your password when {idp} asks for it. If it does not ask, sign out there first. \
             If this page comes back, tell your administrator: {idp} does not ask for a new login when it is told to.",
        ],
        Saying::OnHold => [
            "Your access is on hold",
            "Your organisation has put your access on hold. Nothing of yours goes on in {app} until that is lifted.",
            "Signing in again does not help. Ask your administrator or help desk.",
        ],
        Saying::Crowded => [
            "Nobody can sign in at the moment",
            "So many sessions were ended that there is no room to keep track of new ones. Whoever is signed in goes on.",
            "Nothing is wrong with your account. Try again in a few minutes; if this page stays, tell your administrator.",
        ],
        Saying::Blind => [
            "{app} is closed for the moment",
            "The sign-in service does not say at the moment whose session is over, so nobody is let in.",
            "Nothing is wrong with your account. It opens again by itself; try again in a few minutes.",
        ],
        Saying::IdpUnreachable => [
            "Sign-in is not possible right now",
            "{idp} does not answer.",
            "Nothing is wrong with your account. Wait a moment and try again.",
        ],
        Saying::CannotCheck => {
            ["This cannot be checked at the moment", "The sign-in service gives no answer.", "Try again in a moment."]
        }
        Saying::AppDown => [
            "{app} is not answering",
            "You are signed in, but the app itself cannot be reached.",
            "Wait a moment and try again.",
        ],
        Saying::Forbidden => [
            "You have no access to {app}",
            "You are signed in, but not allowed to use this app.",
            "Ask its owner for access, or sign in as somebody else.",
        ],
        Saying::BadRequest => [
            "This request could not be understood",
            "What the browser sent is not something that can be answered.",
            "Go back and start again. A bookmark of a sign-in page does not work twice.",
        ],
        Saying::TooManyRequests => [
            "Too many requests",
            "There were too many requests from here in a short time.",
            "Wait {seconds} seconds, then try again.",
        ],
        Saying::TooLarge => ["This is too large", "{app} takes at most {bytes} bytes at once.", ""],
        Saying::NotFound => {
            ["There is nothing here", "No app is known under this address.", "Check the address for a typing error."]
        }
        Saying::SignedIn => ["You are signed in", "Taking you back to where you were.", ""],
        Saying::AnswerUnasked => [
            "You are not signed in",
            "The answer of the sign-in service is not one that was asked for.",
            "Try again, or ask the people who run this service.",
        ],
        Saying::IdpFault => [
            "You are not signed in",
            "The sign-in service has a fault at the moment.",
            "Try again, or ask the people who run this service.",
        ],
        Saying::IdpRefused => [
            "You are not signed in",
            "The sign-in service did not sign you in.",
            "Try again, or ask the people who run this service.",
        ],
        Saying::AnswerUntrusted => [
            "You are not signed in",
            "The sign-in service gave an answer that cannot be trusted.",
            "Try again. If it stays so, the people who run this service find the reason in its log.",
        ],
        Saying::TooManyGroups => [
            "You cannot be signed in",
            "Your account has more groups than a session can carry.",
            "Ask the people who run this service to send fewer groups.",
        ],
        Saying::NotUnderWay => [
            "This sign-in is no longer under way",
            "It was finished in another tab, took too long, or your browser does not keep cookies for this address.",
            "Sign in again. If this page comes back, check that cookies are allowed here.",
        ],
        Saying::Bounces(mismatch) => bounces(mismatch),
        Saying::FormKept => [
            "You sent a form before you signed in",
            "It was for {app} and has not arrived there. It was kept in this browser.",
            "Shall it be sent now? It is sent once.",
        ],
        Saying::FormOfAnother => [
            "The form was not sent",
            "A form was kept in this browser that somebody else filled in. It is gone, and {app} did not get it.",
            "If it was you, under another name: fill it in again.",
        ],
        Saying::FormGone => [
            "The form is no longer here",
            "A form is kept for a quarter of an hour and shown once. {app} did not get it from here again.",
            "See in the app whether it is there; if not, fill it in again.",
        ],
    }
}

const fn bounces(mismatch: Mismatch) -> Passage {
    const TITLE: &str = "Signing in does not last";
    match mismatch {
        Mismatch::NoCookies => [
            TITLE,
            "The browser did not send back the cookie that was set for {host} when this sign-in began.",
            "Allow cookies for {host}, and sign in from {url} itself, not from a copied or saved address. \
             For the administrator: does everybody reach the app under {url}, and does no proxy in front take cookies out?",
        ],
        Mismatch::PlainHttp => [
            TITLE,
            "The app is set up to be reached at {url}, without encryption. Browsers keep no sign-in there.",
            "You cannot change this yourself. For the administrator: let people reach {host} over https, and write \
             that address as the app's url.",
        ],
        Mismatch::SessionNotSent => [
            TITLE,
            "You signed in several times just now. The browser sends back small cookies for {host}, but not the one \
             that holds your session.",
            "Delete the cookies of {host} and try again. For the administrator: the session's cookie may be too large \
             for the browser or for a proxy in front; fewer groups make it smaller.",
        ],
        Mismatch::Incomplete => [
            TITLE,
            "You signed in several times just now. The browser sends back only a part of your session for {host}.",
            "Delete the cookies of {host} and try again. For the administrator: a proxy in front may cut long headers; \
             fewer groups make the session smaller.",
        ],
        Mismatch::Unreadable => [
            TITLE,
            "You signed in several times just now. The browser sends your session for {host}, but it cannot be read here.",
            "Delete the cookies of {host} and try again. For the administrator: do all gateways behind {host} have the \
             same keys?",
        ],
        Mismatch::OverAtOnce => [
            TITLE,
            "You signed in several times just now, and each session was over as soon as it began.",
            "You cannot change this yourself. For the administrator: compare the clocks of the gateway and of {idp}, \
             and look at the limits of sessions.",
        ],
        Mismatch::EndedAtOnce => [
            TITLE,
            "You signed in several times just now, and each time the login counted as older than the end of your session.",
            "Wait a minute and try again. For the administrator: compare the clocks of the gateway and of {idp}.",
        ],
        Mismatch::CheckedAtOnce => [
            TITLE,
            "{idp} was asked several times just now whether your session still stands, and each answer was too old \
             at once.",
            "Wait a minute and try again. For the administrator: compare the clocks of the gateway and of {idp}.",
        ],
    }
}

pub(super) const fn label(of: Label) -> &'static str {
    match of {
        Label::SignInAgain => "Sign in again",
        Label::SignIn => "Sign in",
        Label::SignOut => "Sign out",
        Label::TryAgain => "Try again",
        Label::Continue => "Continue",
        Label::StartPage => "To the start page",
        Label::SendNow => "Send it now",
        Label::Discard => "Discard it",
        Label::Reason => "Reason",
        Label::SignedInAs => "Signed in as",
        Label::Address => "Address",
        Label::Technical => "For the administrator",
        Label::ProtectedBy => "Protected by Portcullis",
    }
}
