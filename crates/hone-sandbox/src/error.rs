//! What keeps a sandbox from running. What the code inside does is no error but an [`End`](crate::End).

/// Failures of the sandbox itself: never those of the code in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This system does not let us isolate code. Nothing was run.
    #[error("no sandbox can be made here: {what}; {remedy}")]
    Unavailable { what: String, remedy: String },
    /// The caller demands more than this system can enforce. Nothing was run.
    #[error("this system's guarantees are too weak: {what}; {remedy}")]
    TooWeak { what: String, remedy: String },
    /// The specification cannot be carried out.
    #[error("the sandbox cannot be set up as asked: {0}")]
    Spec(String),
    /// The program could not be started inside.
    #[error("'{program}' could not be started in the sandbox: {reason}")]
    Start { program: String, reason: String },
    /// The sandbox ended without a word, for example because somebody killed it.
    #[error("the sandbox was lost: {0}; start another one")]
    Lost(String),
    #[error("{doing}: {source}")]
    Io {
        doing: &'static str,
        source: std::io::Error,
    },
}

impl Error {
    #[cfg(target_os = "linux")]
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn errno(doing: &'static str) -> impl FnOnce(nix::errno::Errno) -> Self {
        move |errno| Self::Io {
            doing,
            source: errno.into(),
        }
    }
}
