//! Ctrl-C: the first one asks to stop, the second one stops at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default};
use std::sync::Once;
use std::sync::atomic::AtomicBool;

static STOP: AtomicBool = AtomicBool::new(false);

/// A run that the user stopped; the message says how to go on with it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(pub String);

/// From now on SIGINT and SIGTERM set this flag instead of ending the process. Only the first does: the second ends it.
pub fn flag() -> &'static AtomicBool {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [SIGINT, SIGTERM] {
            // In this order: a signal that finds the flag set ends the process. If the system refuses, the first one does.
            let _ = register_conditional_default(signal, &STOP).and_then(|_| register(signal, &STOP));
        }
    });
    &STOP
}
