//! This side of the conversation: who we are, and what we do with a server's notifications.

use crate::Progress;
use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, ProgressNotificationParam, ProgressToken, ProtocolVersion,
    ServerNotification, SubscriptionFilter,
};
use rmcp::service::{NotificationContext, Peer, RoleClient};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Progress of calls that nobody has asked about yet: it may come before the call's token is known here.
const EARLY: usize = 64;

/// Receives the progress of a call.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// What a server tells besides answers.
#[derive(Clone, Default)]
pub(crate) struct Handler(Arc<Heard>);

#[derive(Default)]
struct Heard {
    changes: AtomicU64,
    progress: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    by_token: HashMap<ProgressToken, OnProgress>,
    early: Vec<(ProgressToken, Progress)>,
}

impl Handler {
    /// How often the server said that its tools changed.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Send the progress of `token` to `on` until the result is dropped.
    pub fn follow(&self, token: ProgressToken, on: OnProgress) -> Following {
        let mut listeners = self.listeners();
        let (mine, rest) = std::mem::take(&mut listeners.early)
            .into_iter()
            .partition(|(t, _)| *t == token);
        listeners.early = rest;
        listeners.by_token.insert(token.clone(), on.clone());
        drop(listeners);
        let mine: Vec<(ProgressToken, Progress)> = mine;
        mine.into_iter().for_each(|(_, progress)| on(progress));
        Following {
            handler: self.clone(),
            token,
        }
    }

    /// Servers of the newer era tell of changes only those who ask.
    pub async fn listen(&self, peer: &Peer<RoleClient>) {
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let Ok(mut subscription) = peer.listen(filter).await else {
            return;
        };
        while let Ok(Some(notification)) = subscription.next().await {
            if matches!(notification, ServerNotification::ToolListChangedNotification(_)) {
                self.changed();
            }
        }
    }
}

/// See [`Handler::follow`].
pub(crate) struct Following {
    handler: Handler,
    token: ProgressToken,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.handler.listeners().by_token.remove(&self.token);
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let hone = Implementation::new("hone", env!("CARGO_PKG_VERSION"));
        let mut config = ClientConfig::new(ClientCapabilities::default(), hone);
        // Only `initialize` reads it, and later revisions have none.
        config.protocol_version = ProtocolVersion::LATEST_WITH_INITIALIZE;
        config
    }

    async fn on_progress(&self, told: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let progress = Progress {
            done: told.progress,
            total: told.total,
            message: told.message.unwrap_or_default(),
        };
        let mut listeners = self.listeners();
        match listeners.by_token.get(&told.progress_token).cloned() {
            Some(on) => {
                drop(listeners);
                on(progress);
            }
            None if listeners.early.len() < EARLY => listeners.early.push((told.progress_token, progress)),
            None => {}
        }
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed();
    }
}
