//! Ctrl-C: the first one asks to stop, the second one stops at once.

use std::sync::atomic::AtomicBool;

static STOP: AtomicBool = AtomicBool::new(false);

/// A run that the user stopped; the message says how to go on with it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(pub String);

/// From now on SIGINT and SIGTERM set this flag instead of ending the process. Only the first does: the second ends it.
pub fn flag() -> &'static AtomicBool {
    #[cfg(unix)]
    unix::install();
    &STOP
}

#[cfg(unix)]
mod unix {
    use super::STOP;
    use std::sync::Once;
    use std::sync::atomic::Ordering;

    extern "C" fn stop(_signal: libc::c_int) {
        STOP.store(true, Ordering::Relaxed);
    }

    pub fn install() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            for signal in [libc::SIGINT, libc::SIGTERM] {
                // SAFETY: a zeroed `sigaction` is a valid one (empty mask, no flags), and the handler only stores to an
                // atomic, which is allowed in a signal handler.
                unsafe {
                    let mut action: libc::sigaction = std::mem::zeroed();
                    action.sa_sigaction = stop as *const () as libc::sighandler_t;
                    action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
                    libc::sigaction(signal, &action, std::ptr::null_mut());
                }
            }
        });
    }
}
