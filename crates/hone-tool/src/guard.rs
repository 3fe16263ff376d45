//! Running foreign code so that its panics and hangs stay its own.

use crate::ToolHost;
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Why a host did not come back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The work did not end within its deadline; its thread is left to itself.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The work panicked.
    #[error("panicked: {0}")]
    Panic(String),
    /// The runtime is shutting down and did not start the work.
    #[error("the runtime is shutting down")]
    Shutdown,
}

/// Do `work` on a host, on this thread if the host says [`ToolHost::inline`], else on a blocking thread with a deadline.
///
/// Needs a tokio runtime with time enabled, unless the host is inline. A hanging host keeps one of the runtime's blocking
/// threads, so a runtime that may have met one must end with `shutdown_background`.
///
/// # Errors
/// When the work panics or misses the deadline. The host is then lost: its state can no longer be trusted.
pub async fn guarded<H, R, F>(host: Box<H>, deadline: Duration, work: F) -> Result<(Box<H>, R), Lost>
where
    H: ToolHost + ?Sized + 'static,
    R: Send + 'static,
    F: FnOnce(&mut H) -> R + Send + 'static,
{
    if host.inline() {
        return contain(host, work);
    }
    let task = tokio::task::spawn_blocking(move || contain(host, work));
    match tokio::time::timeout(deadline, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Lost::Shutdown),
        Err(_) => Err(Lost::Timeout(deadline)),
    }
}

fn contain<H: ?Sized, R>(mut host: Box<H>, work: impl FnOnce(&mut H) -> R) -> Result<(Box<H>, R), Lost> {
    match catch_unwind(AssertUnwindSafe(|| work(&mut host))) {
        Ok(result) => Ok((host, result)),
        Err(payload) => {
            // A half-changed host may panic once more while it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(host)));
            Err(Lost::Panic(panic_text(payload.as_ref())))
        }
    }
}

/// Await a future and catch its panic.
///
/// # Errors
/// The panic's message.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(panic_text(payload.as_ref()))),
        },
    )
    .await
}

/// The message that a panic carried.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "without a message".to_owned(),
    }
}
