//! Everything that can go wrong, as values. A message is whole when it leaves here: it names the object, the value and the next
//! step, so that no later layer has to guess.

/// What a call of the core gives back.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This program closed the object, before the call or while it waited.
    #[error("{0}")]
    Closed(String),
    /// A timeout of zero, and nothing could be done at once (EAGAIN).
    #[error("{0}")]
    WouldBlock(String),
    /// The deadline passed (ETIMEDOUT).
    #[error("{0}")]
    TimedOut(String),
    /// The caller's [`Patience`](super::Patience) asked to stop; it knows why.
    #[error("interrupted")]
    Interrupted,
    /// A signal handler called what it had interrupted.
    #[error("{0}")]
    Reentered(String),
    /// The kernel refused, with its error number.
    #[error("{message}")]
    Os {
        /// `errno`, or the Winsock code on Windows.
        code: i32,
        /// The kernel's words, what was tried, and a sentence of why.
        message: String,
    },
    /// The address is taken: an [`Error::Os`] whose holder can be looked up.
    #[error("{message}")]
    InUse {
        /// `EADDRINUSE`, or its Winsock twin.
        code: i32,
        /// What was tried.
        message: String,
        /// The address that could not be had.
        at: std::net::SocketAddr,
        /// Whether it was asked for with SO_REUSEADDR, to listen there; `None` for a client's source.
        reuse_addr: Option<bool>,
    },
    /// A host name could not be turned into addresses (getaddrinfo(3)).
    #[error("{message}")]
    Name {
        /// The `EAI_…` number.
        code: i32,
        /// The resolver's words and the name.
        message: String,
    },
    /// The stream ended inside a frame; the bytes are still in the input buffer.
    #[error("{message}")]
    Incomplete {
        /// What was awaited and what came.
        message: String,
        /// The bytes that had come.
        partial: Vec<u8>,
        /// How many bytes were awaited, where that is a number.
        expected: Option<usize>,
    },
    /// A frame is longer than the caller allows; the bytes are still in the input buffer.
    #[error("{message}")]
    TooLong {
        /// The size, the limit, the next step.
        message: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// A server reads this connection, or serves on this thread; nobody else may.
    #[error("{0}")]
    Driven(String),
    /// A number outside its range.
    #[error("{0}")]
    Range(String),
    /// A value that makes no sense here.
    #[error("{0}")]
    Invalid(String),
    /// The call would lose bytes that are still in Rust memory, or put too many there.
    #[error("{0}")]
    Held(String),
    /// There is not enough memory for what was asked.
    #[error("{0}")]
    Memory(String),
    /// This platform cannot know or do that.
    #[error("{0}")]
    Unsupported(String),
    /// A send of everything stopped in the middle.
    #[error("{cause}")]
    Partly {
        /// Bytes the kernel took before the failure.
        sent: usize,
        /// Why it stopped.
        cause: Box<Error>,
    },
}

impl Error {
    /// What it is called where it is shown: the class of its exception. What a signal handler raised is not known here.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Closed(_) => "ClosedError",
            Self::WouldBlock(_) => "BlockingIOError",
            Self::TimedOut(_) => "TimeoutError",
            Self::Interrupted => "Interrupted",
            Self::Reentered(_) | Self::Driven(_) => "RuntimeError",
            Self::Os { .. } | Self::InUse { .. } => "OSError",
            Self::Name { .. } => "gaierror",
            Self::Incomplete { .. } => "IncompleteReadError",
            Self::TooLong { .. } => "FrameTooLongError",
            Self::Range(_) => "OverflowError",
            Self::Invalid(_) => "ValueError",
            Self::Held(_) => "BufferError",
            Self::Memory(_) => "MemoryError",
            Self::Unsupported(_) => "NotImplementedError",
            Self::Partly { cause, .. } => cause.kind(),
        }
    }

    /// Whether it only says that a task of an event loop has to come again: such a try is nobody's failure.
    pub fn is_try(&self) -> bool {
        matches!(self, Self::WouldBlock(text) if text.is_empty())
    }

    /// The number that the kernel or the resolver gave.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Os { code, .. } | Self::InUse { code, .. } | Self::Name { code, .. } => Some(*code),
            Self::Partly { cause, .. } => cause.code(),
            _ => None,
        }
    }

    /// The same error with more to say.
    pub(crate) fn and(mut self, more: &str) -> Self {
        match &mut self {
            Self::Closed(message)
            | Self::WouldBlock(message)
            | Self::TimedOut(message)
            | Self::Reentered(message)
            | Self::Driven(message)
            | Self::Range(message)
            | Self::Invalid(message)
            | Self::Held(message)
            | Self::Memory(message)
            | Self::Unsupported(message)
            | Self::Os { message, .. }
            | Self::InUse { message, .. }
            | Self::Name { message, .. }
            | Self::Incomplete { message, .. }
            | Self::TooLong { message, .. } => message.push_str(more),
            Self::Interrupted => {}
            Self::Partly { cause, .. } => {
                let inner = std::mem::replace(&mut **cause, Self::Interrupted);
                **cause = inner.and(more);
            }
        }
        self
    }
}
