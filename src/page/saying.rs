//! What pages say, apart from the words for it.

/// What a page is about: a heading, what happened, and what to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// The person signed out.
    SignedOut,
    /// A page of another site asks to sign the person out.
    SignOutAsked,
    /// The session was ended by somebody else.
    SessionEnded,
    /// The IdP answered a request for a fresh login with an old one.
    LoginNotFresh,
    /// The person is on hold.
    OnHold,
    /// Nobody new gets in until there is room for what may have to be revoked of theirs.
    Crowded,
    /// Nobody gets in until signals arrive again.
    Blind,
    /// The IdP does not answer, so nobody can be signed in.
    IdpUnreachable,
    /// The IdP does not answer, so a token cannot be judged.
    CannotCheck,
    /// The app behind the gateway does not answer.
    AppDown,
    /// The person is known and not allowed in.
    Forbidden,
    /// The request makes no sense, and sending it again will not help.
    BadRequest,
    /// Too much was asked in too short a time.
    TooManyRequests,
    /// The body is larger than the app takes.
    TooLarge,
    /// Nothing is known under this address.
    NotFound,
    /// The hop after a login.
    SignedIn,
    /// The IdP's answer is not one that was asked for.
    AnswerUnasked,
    /// The IdP says that it has a fault.
    IdpFault,
    /// The IdP said no.
    IdpRefused,
    /// The IdP's answer cannot be trusted.
    AnswerUntrusted,
    /// The account has more groups than a session carries.
    TooManyGroups,
    /// The flow of an answer is not there.
    NotUnderWay,
    /// Sign-ins do not hold, and this is why.
    Bounces(Mismatch),
    /// A form waits to be sent again.
    FormKept,
    /// A form is not sent: whoever signed in is not who wrote it.
    FormOfAnother,
    /// A form is not there any more.
    FormGone,
}

/// Why a browser that signed in comes back as if it had not.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It sends no cookie of ours at all.
    NoCookies,
    /// It is to reach the app over `http://`, where no browser keeps what may only travel over TLS.
    PlainHttp,
    /// It sends small cookies back, and not the session's.
    SessionNotSent,
    /// A part of the session's cookies is missing.
    Incomplete,
    /// It sends the session back, and this gateway cannot read it.
    Unreadable,
    /// A session is over as soon as it begins.
    OverAtOnce,
    /// A session counts as ended as soon as it begins: the login is not newer than the revocation.
    EndedAtOnce,
    /// The session has to be checked again as soon as it was.
    CheckedAtOnce,
}

/// A word on a button, before a fact or below the page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// The way to a login after the end of a session.
    SignInAgain,
    /// The way to a login.
    SignIn,
    /// The way out.
    SignOut,
    /// The same once more.
    TryAgain,
    /// On to where the person wanted to go.
    Continue,
    /// To `/`.
    StartPage,
    /// Sends a kept form.
    SendNow,
    /// Forgets a kept form.
    Discard,
    /// Before the reason for the end of a session.
    Reason,
    /// Before a name.
    SignedInAs,
    /// Before a host or a path.
    Address,
    /// Before a fact for whoever is asked for help.
    Technical,
    /// Below every page of a gateway that nobody gave a name.
    ProtectedBy,
}

impl Saying {
    /// All of them, with every mismatch.
    pub const ALL: [Self; 33] = [
        Self::SignedOut,
        Self::SignOutAsked,
        Self::SessionEnded,
        Self::LoginNotFresh,
        Self::OnHold,
        Self::Crowded,
        Self::Blind,
        Self::IdpUnreachable,
        Self::CannotCheck,
        Self::AppDown,
        Self::Forbidden,
        Self::BadRequest,
        Self::TooManyRequests,
        Self::TooLarge,
        Self::NotFound,
        Self::SignedIn,
        Self::AnswerUnasked,
        Self::IdpFault,
        Self::IdpRefused,
        Self::AnswerUntrusted,
        Self::TooManyGroups,
        Self::NotUnderWay,
        Self::Bounces(Mismatch::NoCookies),
        Self::Bounces(Mismatch::PlainHttp),
        Self::Bounces(Mismatch::SessionNotSent),
        Self::Bounces(Mismatch::Incomplete),
        Self::Bounces(Mismatch::Unreadable),
        Self::Bounces(Mismatch::OverAtOnce),
        Self::Bounces(Mismatch::EndedAtOnce),
        Self::Bounces(Mismatch::CheckedAtOnce),
        Self::FormKept,
        Self::FormOfAnother,
        Self::FormGone,
    ];
}

impl Mismatch {
    /// The word for logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoCookies => "no_cookies",
            Self::PlainHttp => "plain_http",
            Self::SessionNotSent => "session_not_sent",
            Self::Incomplete => "session_incomplete",
            Self::Unreadable => "session_unreadable",
            Self::OverAtOnce => "session_over_at_once",
            Self::EndedAtOnce => "session_ended_at_once",
            Self::CheckedAtOnce => "session_checked_at_once",
        }
    }
}

impl Label {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::SignInAgain,
        Self::SignIn,
        Self::SignOut,
        Self::TryAgain,
        Self::Continue,
        Self::StartPage,
        Self::SendNow,
        Self::Discard,
        Self::Reason,
        Self::SignedInAs,
        Self::Address,
        Self::Technical,
        Self::ProtectedBy,
    ];
}
