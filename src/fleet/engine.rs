//! What an engine must do. Nothing above this knows which one it is.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

/// A gateway, for as long as its ledger exists: 128 bits by chance. In hexadecimal digits where it is written.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(pub u128);

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place in the engine's log. Later letters have greater ones; not every number is there.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// Whom a letter is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Every gateway, also those that are away, also the one that sent it.
    Everyone,
    /// One gateway. An engine may drop it after [`To::KEPT_FOR_ONE`].
    One(GatewayId),
}

impl To {
    /// How long a letter for one gateway is kept, at least: whoever was away longer has no use for it, and one every second
    /// for weeks would outgrow all others.
    pub const KEPT_FOR_ONE: Duration = Duration::from_secs(3_600);
}

/// What a gateway gives an engine to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The same for the same content. An engine that can tell, keeps the second of two away; none must.
    /// Printable ASCII without spaces, at most 100 characters.
    pub id: String,
    /// Whom it is for.
    pub to: To,
    /// Sealed: engines cannot read it. At most [`Letter::MAX_BODY`] bytes.
    pub body: Vec<u8>,
}

impl Letter {
    /// The longest body that an engine must carry.
    pub const MAX_BODY: usize = 256 * 1_024;
}

/// A letter as it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in the log.
    pub position: Position,
    /// Whom the engine says that it is for.
    pub to: To,
    /// What was sent.
    pub body: Vec<u8>,
}

/// The engine's log as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Another log has another epoch, also one of the same name: whoever deletes it and makes it anew changes this.
    pub epoch: String,
    /// The newest letter that was ever in it; zero in an empty one.
    pub last: Position,
}

/// Letters in their order: everything after a position, then what comes. Several at once where several are there.
/// It ends only with an error; after one, whoever follows begins again from the last position that they have.
pub type Following = BoxStream<'static, Result<Vec<Entry>, Trouble>>;

/// What shows that its holder, and nobody else, may do something at the moment. A later one is greater.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// What went wrong at an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It does not answer, or not in time. It may be back at any moment.
    #[error("the engine cannot be reached: {0}")]
    Away(String),
    /// It does not let us in.
    #[error("the engine refuses us: {0}")]
    Denied(String),
    /// It is there, but what it carries could be lost: it must be set up in another way, or that be allowed in words.
    #[error("{what}; {remedy}")]
    Unfit {
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// The log is not there, or another one than before.
    #[error("the engine's log is gone")]
    Gone,
}

impl Trouble {
    /// True if waiting does not help: somebody has to change something.
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Unfit { .. })
    }
}

/// Carries letters. Every call ends within the engine's own deadline, whatever the network does. Dropping a future in the
/// middle is allowed at any moment.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync {
    /// Makes what must be there, or checks that it is there and safe; connects again if it has to. Called at start, after
    /// trouble, and now and then to see whether the log is still the same.
    async fn open(&self) -> Result<Extent, Trouble>;

    /// Gives `letters` to the engine. `Ok` means that it keeps all of them durably, on as many servers as it was told.
    /// After an error some may be in all the same; to append them again does no harm.
    async fn append(&self, letters: &[Letter]) -> Result<(), Trouble>;

    /// Every letter for everyone or for `me` with a greater position than `after`, in order, none skipped; then the new
    /// ones as they come, within milliseconds where the engine can.
    async fn follow(&self, after: Position, me: GatewayId) -> Result<Following, Trouble>;

    /// Drops letters that were appended longer ago than that, where the engine does not do so by itself.
    async fn forget_older_than(&self, age: Duration) -> Result<(), Trouble>;

    /// Takes, or keeps, what is called `name` for `term` from now. `None` while another gateway has it. Two never have it
    /// at the same time as long as each stops `term` after it last *began* a call that succeeded.
    async fn lease(&self, name: &str, me: GatewayId, term: Duration) -> Result<Option<Fence>, Trouble>;

    /// Gives it back before its time.
    async fn release(&self, name: &str, me: GatewayId) -> Result<(), Trouble>;
}
