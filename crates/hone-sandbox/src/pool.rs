//! Sessions for many runs at once: so many and no more, shared out fairly, and none kept for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Call, Error, Interpreter, InterpreterSettings, Limits, Reply, Runtime, Session, SessionSettings};

/// How much a pool gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Sessions at a time.
    pub sessions: usize,
    /// Of them for one run.
    pub per_run: usize,
    /// Requests that may wait; more are refused at once.
    pub queue: usize,
    /// How long a session may live. One that is older is taken away as soon as somebody waits for it.
    pub ttl: Duration,
    /// After so many sessions they are forked from a new interpreter.
    pub recycle: u64,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            sessions: 64,
            per_run: 64,
            queue: 1024,
            ttl: Duration::from_secs(3600),
            recycle: 100_000,
        }
    }
}

/// Why a pool gave no session.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// So many requests are waiting that this one would wait too long.
    #[error("{0} requests for sandboxes are waiting already; ask again later, or with fewer episodes at a time")]
    Full(usize),
    /// None became free in time.
    #[error("no sandbox became free within {0:?}; ask again later, or with fewer episodes at a time")]
    Late(Duration),
    #[error(transparent)]
    Sandbox(#[from] Error),
}

/// What a pool has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Sessions that live now.
    pub live: usize,
    /// Requests that wait now.
    pub waiting: usize,
    /// Sessions that were given out.
    pub started: u64,
    /// Requests that were refused because the queue was full, or gave up waiting.
    pub refused: u64,
    /// Sessions that were taken away because they were too old.
    pub expired: u64,
    /// Interpreters that were started.
    pub interpreters: u64,
}

/// Gives out sessions. Runs that have fewer come first, and within a run who came first.
pub struct Pool {
    runtime: Arc<dyn Runtime>,
    interpreter: InterpreterSettings,
    version: String,
    settings: PoolSettings,
    state: Mutex<State>,
    /// Told whenever somebody who waits may go on.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Of those who wait, in the order of their coming: number and run.
    queue: Vec<(u64, String)>,
    next: u64,
    /// Sessions that are given out or about to be, by number.
    live: BTreeMap<u64, Given>,
    current: Option<Interpreter>,
    /// Sessions of the current interpreter.
    forked: u64,
    counts: PoolCounts,
}

struct Given {
    run: String,
    until: Instant,
    session: Arc<Mutex<Option<Session>>>,
}

impl State {
    fn of(&self, run: &str) -> usize {
        self.live.values().filter(|given| given.run == run).count()
    }

    /// Who of those who wait is next, if there is room.
    fn first(&self, settings: &PoolSettings) -> Option<u64> {
        if self.live.len() >= settings.sessions {
            return None;
        }
        let waiting = self.queue.iter().map(|(number, run)| (self.of(run), *number));
        waiting
            .filter(|(has, _)| *has < settings.per_run)
            .min()
            .map(|(_, number)| number)
    }
}

impl Pool {
    /// A pool whose first interpreter runs.
    pub fn start(
        runtime: Arc<dyn Runtime>,
        interpreter: InterpreterSettings,
        settings: PoolSettings,
    ) -> Result<Arc<Self>, Error> {
        if settings.sessions == 0 || settings.per_run == 0 {
            return Err(Error::Spec(
                "a pool needs at least one session, and one for each run".to_owned(),
            ));
        }
        let first = Interpreter::start(&*runtime, &interpreter)?;
        let version = first.version().to_owned();
        let current = Some(first);
        let counts = PoolCounts {
            interpreters: 1,
            ..PoolCounts::default()
        };
        let state = Mutex::new(State {
            current,
            counts,
            ..State::default()
        });
        Ok(Arc::new(Self {
            runtime,
            interpreter,
            version,
            settings,
            state,
            changed: Condvar::new(),
        }))
    }

    /// A session for a run, waiting at most so long. Dropping it makes room for others.
    pub fn session(
        self: &Arc<Self>,
        run: &str,
        settings: &SessionSettings,
        patience: Duration,
    ) -> Result<Lease, PoolError> {
        let lease = self.place(run, patience)?;
        let session = self.fork(settings)?;
        // It may have been taken away meanwhile, if lives are very short.
        *lease.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        Ok(lease)
    }

    /// Python's version, such as "3.11.2".
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn counts(&self) -> PoolCounts {
        let state = self.lock();
        PoolCounts {
            live: state.live.len(),
            waiting: state.queue.len(),
            ..state.counts
        }
    }

    /// The counts in Prometheus's text format.
    pub fn metrics(&self) -> String {
        let counts = self.counts();
        let rows = [
            ("live", "gauge", "Sessions that live now.", counts.live as u64),
            ("waiting", "gauge", "Requests that wait now.", counts.waiting as u64),
            (
                "started_total",
                "counter",
                "Sessions that were given out.",
                counts.started,
            ),
            (
                "refused_total",
                "counter",
                "Requests that got no session.",
                counts.refused,
            ),
            (
                "expired_total",
                "counter",
                "Sessions that were too old.",
                counts.expired,
            ),
            (
                "interpreters_total",
                "counter",
                "Interpreters that were started.",
                counts.interpreters,
            ),
        ];
        let line = |(name, kind, help, value): (&str, &str, &str, u64)| {
            let name = format!("hone_sandbox_{name}");
            format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
        };
        rows.into_iter().map(line).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room.
    fn place(self: &Arc<Self>, run: &str, patience: Duration) -> Result<Lease, PoolError> {
        let deadline = Instant::now() + patience.min(Limits::LONGEST);
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.queue.push((number, run.to_owned()));
        self.expire(&mut state);
        let mut late = false;
        while state.first(&self.settings) != Some(number) {
            // Counted without this one: who can go at once does not wait.
            let before = state.queue.iter().filter(|(other, _)| *other < number).count();
            if before >= self.settings.queue || late {
                state.queue.retain(|(other, _)| *other != number);
                state.counts.refused += 1;
                self.changed.notify_all();
                return Err(if late {
                    PoolError::Late(patience)
                } else {
                    PoolError::Full(before)
                });
            }
            let expiry = state.live.values().map(|given| given.until).min();
            let wake = expiry.map_or(deadline, |expiry| expiry.min(deadline));
            // An old session in the middle of a call cannot be taken: look again soon.
            let wait = wake
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(10));
            state = self
                .changed
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            self.expire(&mut state);
            late = Instant::now() >= deadline;
        }
        state.queue.retain(|(other, _)| *other != number);
        let session = Arc::default();
        let until = Instant::now() + self.settings.ttl.min(Limits::LONGEST);
        state.live.insert(
            number,
            Given {
                run: run.to_owned(),
                until,
                session: Arc::clone(&session),
            },
        );
        state.counts.started += 1;
        // There may be room for the next one too.
        self.changed.notify_all();
        Ok(Lease {
            pool: Arc::clone(self),
            number,
            session,
        })
    }

    /// Takes away what is too old, if somebody waits. A call that is under way is not waited for: it holds its session
    /// until its own bound ends it.
    fn expire(&self, state: &mut State) {
        let now = Instant::now();
        if state.first(&self.settings).is_some() || state.queue.is_empty() {
            return;
        }
        let old: Vec<u64> = state
            .live
            .iter()
            .filter(|(_, given)| given.until <= now)
            .map(|(n, _)| *n)
            .collect();
        for number in old {
            let taken = state
                .live
                .get(&number)
                .and_then(|given| given.session.try_lock().ok()?.take());
            if taken.is_some() {
                state.live.remove(&number);
                state.counts.expired += 1;
            }
        }
        self.changed.notify_all();
    }

    /// A session of the current interpreter, or of a new one if that is worn out or gone.
    fn fork(&self, settings: &SessionSettings) -> Result<Session, Error> {
        let current = {
            let mut state = self.lock();
            state.forked += 1;
            let worn = state.forked > self.settings.recycle;
            if worn { None } else { state.current.clone() }
        };
        if let Some(gone) = current {
            match gone.session(settings) {
                Err(Error::Lost(_)) => {}
                result => return result,
            }
            // Others may have seen it first.
            let other = self.lock().current.clone().filter(|other| !other.is(&gone));
            if let Some(Ok(session)) = other.map(|other| other.session(settings)) {
                return Ok(session);
            }
        }
        let fresh = Interpreter::start(&*self.runtime, &self.interpreter)?;
        {
            let mut state = self.lock();
            state.current = Some(fresh.clone());
            state.forked = 1;
            state.counts.interpreters += 1;
        }
        fresh.session(settings)
    }
}

/// A session that belongs to a pool.
pub struct Lease {
    pool: Arc<Pool>,
    number: u64,
    session: Arc<Mutex<Option<Session>>>,
}

impl Lease {
    /// As [`Session::call`]. An error if the session was taken away because it was too old.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Reply, Error> {
        self.with(|session| session.call(call))
    }

    /// Anything else that can be done with a session.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Session) -> Result<T, Error>) -> Result<T, Error> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *session {
            Some(session) => work(session),
            None => Err(Error::Lost("it was older than a session may be".to_owned())),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Ended first, so that no more live than may.
        drop(self.session.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.pool.lock().live.remove(&self.number);
        self.pool.changed.notify_all();
    }
}
