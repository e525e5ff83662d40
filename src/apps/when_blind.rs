//! What an app does while nobody can say whose session is over.

/// What an app does while a stream that speaks for its people is dark: what it should have told is not known (law 9).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum WhenBlind {
    /// It goes on as if nothing were.
    Serve,
    /// Everybody goes through the IdP again, and again from time to time.
    #[default]
    Reestablish,
    /// Nobody gets in.
    Refuse,
}

impl WhenBlind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Serve, Self::Reestablish, Self::Refuse];

    /// The word that people write.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Reestablish => "reestablish",
            Self::Refuse => "refuse",
        }
    }
}
