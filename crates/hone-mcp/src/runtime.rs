//! The threads on which connections live.

use std::sync::LazyLock;
use std::sync::mpsc;
use tokio::runtime::{Builder, Handle, Runtime};

/// Two threads for all connections of the process. Their work is to move bytes; tools run elsewhere.
static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("hone-mcp")
        .enable_all()
        .build()
        .ok()
});

/// The runtime, unless the system gives no threads.
pub(crate) fn handle() -> Option<&'static Handle> {
    RUNTIME.as_ref().map(Runtime::handle)
}

/// Do `work` on the runtime and wait for it on this thread, which may be any.
///
/// `None` if there is no runtime or the work panicked.
pub(crate) fn block<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (send, receive) = mpsc::sync_channel(1);
    handle()?.spawn(async move {
        let _ = send.send(work.await);
    });
    receive.recv().ok()
}
