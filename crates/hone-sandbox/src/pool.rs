//! Sessions for many runs at once: so many and no more, shared out fairly, and none kept for ever.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{
    Call, Error, Interpreter, InterpreterSettings, Language, Limits, Reply, Runtime, Session, SessionSettings,
};

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
    /// How long a holder that has sent a heartbeat may be silent, without one more and without a call. Then its session is as
    /// one that is too old. Who never sends one is not bound by it.
    pub heartbeat: Duration,
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
            heartbeat: Duration::from_secs(180),
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
    /// Sessions that were taken away because they were too old, or their holders silent.
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
}

#[derive(Default)]
struct State {
    /// Those who wait, by run, in the order of their coming.
    queue: BTreeMap<String, VecDeque<Waiting>>,
    next: u64,
    /// Sessions that are given out or about to be, by number.
    live: BTreeMap<u64, Given>,
    /// How many each run has of them.
    of_run: BTreeMap<String, usize>,
    current: Option<Interpreter>,
    /// Sessions of the current interpreter.
    forked: u64,
    counts: PoolCounts,
}

struct Waiting {
    number: u64,
    /// Told when it may be its turn. Each has its own, so that a change wakes one of ten thousand and not all.
    turn: Arc<Condvar>,
}

struct Given {
    run: String,
    until: Instant,
    /// The last sign of life, if there was one that counts.
    beat: Option<Instant>,
    session: Arc<Mutex<Option<Session>>>,
}

impl Given {
    /// When it may be taken away.
    fn ends(&self, settings: &PoolSettings) -> Instant {
        let silent = self.beat.map(|beat| beat + settings.heartbeat.min(Limits::LONGEST));
        silent.map_or(self.until, |silent| silent.min(self.until))
    }
}

impl State {
    fn of(&self, run: &str) -> usize {
        self.of_run.get(run).copied().unwrap_or(0)
    }

    /// Who of those who wait comes first, and whether it can go on now.
    fn head(&self, settings: &PoolSettings) -> Option<(&Waiting, bool)> {
        let first = self.queue.iter().filter_map(|(run, waiting)| {
            let (has, first) = (self.of(run), waiting.front()?);
            Some(((has >= settings.per_run, has, first.number), first))
        });
        let ((full, ..), first) = first.min_by_key(|(rank, _)| *rank)?;
        Some((first, !full && self.live.len() < settings.sessions))
    }

    fn is_turn(&self, settings: &PoolSettings, number: u64) -> bool {
        self.head(settings)
            .is_some_and(|(head, free)| free && head.number == number)
    }

    /// Wakes who comes first.
    fn nudge(&self, settings: &PoolSettings) {
        if let Some((head, _)) = self.head(settings) {
            head.turn.notify_one();
        }
    }

    fn waiting(&self) -> usize {
        self.queue.values().map(VecDeque::len).sum()
    }

    fn leave(&mut self, run: &str, number: u64) {
        if let Some(waiting) = self.queue.get_mut(run) {
            waiting.retain(|other| other.number != number);
            if waiting.is_empty() {
                self.queue.remove(run);
            }
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(given) = self.live.remove(&number) else { return };
        if let Some(has) = self.of_run.get_mut(&given.run) {
            *has -= 1;
            if *has == 0 {
                self.of_run.remove(&given.run);
            }
        }
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
            waiting: state.waiting(),
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

    /// Proves that a session can be had and computes, beside the quotas. Returns how long that took.
    pub fn probe(&self) -> Result<Duration, Error> {
        let start = Instant::now();
        let mut session = self.fork(&SessionSettings::new(Language::Python))?;
        let call = Call {
            code: "6 * 7",
            wall: Some(Duration::from_secs(10)),
            ..Call::default()
        };
        match session.call(&call)?.value.as_deref() {
            Some("42") => Ok(start.elapsed()),
            other => Err(Error::Lost(format!("6 * 7 gave {other:?}"))),
        }
    }

    /// Waits for room.
    fn place(self: &Arc<Self>, run: &str, patience: Duration) -> Result<Lease, PoolError> {
        let deadline = Instant::now() + patience.min(Limits::LONGEST);
        let settings = &self.settings;
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        let before = state.waiting();
        let turn = Arc::new(Condvar::new());
        let waiting = Waiting {
            number,
            turn: Arc::clone(&turn),
        };
        state.queue.entry(run.to_owned()).or_default().push_back(waiting);
        self.expire(&mut state);
        let refuse = |state: &mut State, error: PoolError| {
            state.leave(run, number);
            state.counts.refused += 1;
            state.nudge(settings);
            Err(error)
        };
        // Who can go at once does not wait.
        if before >= settings.queue && !state.is_turn(settings, number) {
            return refuse(&mut state, PoolError::Full(before));
        }
        while !state.is_turn(settings, number) {
            let now = Instant::now();
            if now >= deadline {
                return refuse(&mut state, PoolError::Late(patience));
            }
            // Who comes first looks when sessions become too old; one in the middle of a call cannot be taken: look again soon.
            let watches = state.head(settings).is_some_and(|(head, _)| head.number == number);
            let expiry = state.live.values().map(|given| given.ends(settings)).min();
            let wake = expiry
                .filter(|_| watches)
                .map_or(deadline, |expiry| expiry.min(deadline));
            let wait = wake.saturating_duration_since(now).max(Duration::from_millis(10));
            state = turn.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
            self.expire(&mut state);
        }
        state.leave(run, number);
        let session = Arc::default();
        let given = Given {
            run: run.to_owned(),
            until: Instant::now() + settings.ttl.min(Limits::LONGEST),
            beat: None,
            session: Arc::clone(&session),
        };
        state.live.insert(number, given);
        *state.of_run.entry(run.to_owned()).or_default() += 1;
        state.counts.started += 1;
        // There may be room for the next one too.
        state.nudge(settings);
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
        if state.head(&self.settings).is_none_or(|(_, free)| free) {
            return;
        }
        let old: Vec<u64> = state
            .live
            .iter()
            .filter(|(_, given)| given.ends(&self.settings) <= now)
            .map(|(n, _)| *n)
            .collect();
        for number in old {
            let taken = state
                .live
                .get(&number)
                .and_then(|given| given.session.try_lock().ok()?.take());
            if taken.is_some() {
                state.remove(number);
                state.counts.expired += 1;
            }
        }
        state.nudge(&self.settings);
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

    /// Says that the holder is still there. From the first time on it must do so, or call, again and again
    /// ([`PoolSettings::heartbeat`]).
    pub fn heartbeat(&self) {
        if let Some(given) = self.pool.lock().live.get_mut(&self.number) {
            given.beat = Some(Instant::now());
        }
    }

    /// Anything else that can be done with a session.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Session) -> Result<T, Error>) -> Result<T, Error> {
        let result = match &mut *self.session.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(session) => work(session),
            None => Err(Error::Lost(
                "it was older than a session may be, or its holder silent".to_owned(),
            )),
        };
        if let Some(given) = self.pool.lock().live.get_mut(&self.number) {
            given.beat = given.beat.map(|_| Instant::now());
        }
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Ended first, so that no more live than may.
        drop(self.session.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut state = self.pool.lock();
        state.remove(self.number);
        state.nudge(&self.pool.settings);
    }
}
