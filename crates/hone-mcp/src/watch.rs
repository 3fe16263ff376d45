//! What becomes of a connection, seen from its bytes: bounds, last words, the way it ended.

use crate::Limits;
use crate::error::SERVER_WORDS;
use hone_wire::shown;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;

/// What is kept of a server's standard error.
const WORDS: usize = 2000;

/// Notes on one connection, shared by those who carry it and those who explain its end.
#[derive(Debug)]
pub(crate) struct Watch {
    limits: Limits,
    /// Bytes since the last request.
    unasked: AtomicUsize,
    notes: Mutex<Notes>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Notes {
    broke: Option<String>,
    status: Option<ExitStatus>,
    words: VecDeque<u8>,
    /// The first line that cannot be a message.
    noise: Option<String>,
}

impl Watch {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            unasked: AtomicUsize::new(0),
            notes: Mutex::default(),
            news: Notify::new(),
        }
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request goes out: what comes now may be its answer.
    pub fn asked(&self) {
        self.unasked.store(0, Ordering::Relaxed);
    }

    /// Bytes came in. Fails when they are too many.
    pub fn came(&self, bytes: usize) -> io::Result<()> {
        let before = self.unasked.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.limits.unasked_bytes {
            return Err(self.broke(format!(
                "it sent more than {} without being asked; `limits.unasked_bytes` is the bound",
                size(self.limits.unasked_bytes)
            )));
        }
        Ok(())
    }

    /// A message is longer than allowed.
    pub fn too_large(&self) -> io::Error {
        self.broke(format!(
            "it sent a message of more than {}; `limits.message_bytes` is the bound",
            size(self.limits.message_bytes)
        ))
    }

    fn broke(&self, why: String) -> io::Error {
        self.notes().broke.get_or_insert_with(|| why.clone());
        self.news.notify_waiters();
        io::Error::other(why)
    }

    /// Waits until a bound is broken, and says which. The transport may not: over HTTP it hopes for a better stream.
    pub async fn broken(&self) -> String {
        loop {
            // Before the look, so that what happens in between is not missed.
            let news = self.news.notified();
            if let Some(broke) = &self.notes().broke {
                return broke.clone();
            }
            news.await;
        }
    }

    pub fn ended(&self, status: ExitStatus) {
        self.notes().status = Some(status);
        self.news.notify_waiters();
    }

    pub fn said(&self, bytes: &[u8]) {
        let words = &mut self.notes().words;
        words.extend(bytes);
        let over = words.len().saturating_sub(WORDS);
        words.drain(..over);
    }

    fn noise(&self, line: &[u8]) {
        let text = || shown(&String::from_utf8_lossy(&line[..line.len().min(200)]), 80);
        self.notes().noise.get_or_insert_with(text);
    }

    /// Why a server that speaks may yet not be understood.
    pub fn hint(&self) -> String {
        match &self.notes().noise {
            Some(line) => format!("; it writes lines to standard output that are no messages, such as `{line}`"),
            None => String::new(),
        }
    }

    /// How the connection ended, in words; waits a moment for the process's status.
    pub async fn obituary(&self, otherwise: &str) -> String {
        let told = self.news.notified();
        if self.notes().broke.is_none() && self.notes().status.is_none() {
            let _ = tokio::time::timeout(Duration::from_secs(3), told).await;
        }
        let notes = self.notes();
        let mut why = match (&notes.broke, notes.status) {
            (Some(broke), _) => return broke.clone(),
            (None, Some(status)) => format!("its process ended ({status})"),
            (None, None) => otherwise.to_owned(),
        };
        let words: Vec<u8> = notes.words.iter().copied().collect();
        let words = String::from_utf8_lossy(&words);
        if !words.trim().is_empty() {
            let skip = words.trim().chars().count().saturating_sub(SERVER_WORDS);
            let tail: String = words.trim().chars().skip(skip).collect();
            why = format!("{why}; its last words: {}", shown(&tail, SERVER_WORDS));
        }
        why
    }
}

fn size(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mib => format!("{mib} MiB"),
    }
}

/// A stream of lines under a [`Watch`].
pub(crate) struct Watched<R> {
    inner: R,
    watch: std::sync::Arc<Watch>,
    /// Length of the line so far.
    line: usize,
}

impl<R> Watched<R> {
    pub fn new(inner: R, watch: std::sync::Arc<Watch>) -> Self {
        Self { inner, watch, line: 0 }
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.watch.came(bytes.len())?;
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let start = piece.trim_ascii_start();
            if self.line == 0 && start.first().is_some_and(|b| !matches!(b, b'{' | b'[' | 0xef)) {
                self.watch.noise(start);
            }
            self.line += piece.len();
            if self.line > self.watch.limits.message_bytes {
                return Err(self.watch.too_large());
            }
            if piece.ends_with(b"\n") {
                self.line = 0;
            }
        }
        Ok(())
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buf))?;
        Poll::Ready(this.look(&buf.filled()[before..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::io::AsyncReadExt;

    fn read(bytes: &[u8], limits: Limits) -> (Arc<Watch>, io::Result<usize>) {
        let watch = Arc::new(Watch::new(limits));
        let mut stream = Watched::new(bytes, watch.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(async { stream.read_to_end(&mut vec![]).await });
        (watch, result)
    }

    #[test]
    fn long_lines_and_floods_end_the_stream() {
        let limits = Limits {
            message_bytes: 10,
            unasked_bytes: 30,
            ..Limits::default()
        };
        assert_eq!(read(b"{23456789\n{}\n\n[]", limits).1.unwrap(), 16);
        let error = |bytes| read(bytes, limits).1.unwrap_err().to_string();
        assert!(error(b"{}\n{2345678901").contains("more than 10 bytes; `limits.message_bytes`"));
        assert!(error(&b"{}\n".repeat(11)).contains("more than 30 bytes without being asked"));
    }

    #[test]
    fn lines_that_are_no_messages_are_remembered() {
        let hint = |bytes: &[u8]| read(bytes, Limits::default()).0.hint();
        assert_eq!(hint(b"{}\n [1]\n\n"), "");
        assert!(hint(b"{}\nlistening on\x1b[1m 80\n").contains("`listening on\\u{1b}[1m 80\\n`"));
    }
}
