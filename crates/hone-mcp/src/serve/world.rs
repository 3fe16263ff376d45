//! A client's world.

use super::Offer;
use hone_tool::{Asked, Rules, ToolHost, ToolRequest, Truncation, dispatch};
use hone_trace::ToolCall;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use tokio::sync::Mutex;

/// A tool host whose calls come one after the other.
pub(super) struct World {
    /// Absent once a call has lost it.
    host: Arc<Mutex<Option<Box<dyn ToolHost>>>>,
    calls: AtomicU32,
    count: Arc<AtomicUsize>,
}

impl World {
    /// A fresh one, if there is room. The error is a sentence for the client.
    pub fn open(offer: &Offer) -> Result<Self, String> {
        let mut world = Self {
            host: Arc::default(),
            calls: AtomicU32::new(0),
            count: offer.worlds.clone(),
        };
        // Counted before it is checked: dropping `world` counts down again.
        if world.count.fetch_add(1, Ordering::AcqRel) >= offer.settings.max_worlds {
            return Err("the server has as many clients as it takes; try again later".to_owned());
        }
        world.host = Arc::new(Mutex::new(Some((offer.make)()?)));
        Ok(world)
    }

    /// A call, from its arguments to its record.
    pub async fn call(&self, offer: &Offer, tool: String, arguments: Value) -> Result<ToolCall, String> {
        let slot = self.host.clone().lock_owned().await;
        let id = self.calls.fetch_add(1, Ordering::Relaxed);
        let (toolset, settings) = (offer.toolset.clone(), offer.settings.clone());
        // On a task of its own: a client that no longer waits must not take the world with it.
        let played = tokio::spawn(async move {
            let mut slot = slot;
            let host = slot.take()?;
            let rules = Rules {
                toolset: &toolset,
                approval: &settings.approval,
                timeout: settings.timeout,
                max_shown_chars: settings.max_chars,
                truncation: Truncation::Head,
                max_schema_chars: 1000,
            };
            let request = ToolRequest {
                id,
                model_call: None,
                raw: String::new(),
                asked: Asked::Call { tool, arguments },
            };
            let done = dispatch(host, request, &rules, None).await;
            *slot = done.host;
            Some(done.record)
        });
        match played.await {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err("an earlier call broke this world; connect again for a fresh one".to_owned()),
            Err(_) => Err("the call broke the server; please report this".to_owned()),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}
