//! Bodies of answers: a whole one, or events as they come.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

pub(crate) type Answer = http::Response<BoxBody<Bytes, Infallible>>;

/// Events that may wait for a client that reads slowly.
const EVENTS: usize = 64;

pub(crate) fn whole(text: impl Into<Bytes>) -> BoxBody<Bytes, Infallible> {
    Full::new(text.into()).boxed()
}

/// The sending side of a stream of events.
pub(crate) struct Events {
    sender: mpsc::Sender<Bytes>,
    /// Ends the connection of a client that does not read.
    hang_up: Arc<Notify>,
    patience: Duration,
}

/// The client is gone, or as good as.
#[derive(Debug)]
pub(crate) struct Gone;

impl Events {
    /// A stream and its body.
    pub(crate) fn new(hang_up: Arc<Notify>, patience: Duration) -> (Self, BoxBody<Bytes, Infallible>) {
        let (sender, receiver) = mpsc::channel(EVENTS);
        let events = Self {
            sender,
            hang_up,
            patience,
        };
        (events, BodyExt::boxed(Stream(receiver)))
    }

    /// Send a chunk.
    pub(crate) async fn send(&self, chunk: &Value) -> Result<(), Gone> {
        self.write(format!("data: {chunk}\n\n")).await
    }

    /// Say that nothing more comes.
    pub(crate) async fn done(&self) -> Result<(), Gone> {
        self.write("data: [DONE]\n\n".to_owned()).await
    }

    async fn write(&self, text: String) -> Result<(), Gone> {
        match self.sender.send_timeout(text.into(), self.patience).await {
            Ok(()) => Ok(()),
            Err(error) => {
                if matches!(error, mpsc::error::SendTimeoutError::Timeout(_)) {
                    self.hang_up.notify_one();
                }
                Err(Gone)
            }
        }
    }

    /// Waits until the client is gone.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}

struct Stream(mpsc::Receiver<Bytes>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
