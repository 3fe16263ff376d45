//! How much is asked at once.

use super::Pace;
use std::sync::Mutex as StdMutex;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// Bounds requests under way, requests a minute and tokens a minute. First come, first served; who gives up waiting
/// takes nothing.
pub(crate) struct Gate {
    places: Semaphore,
    buckets: Mutex<Buckets>,
    settled: StdMutex<f64>,
    /// Wakes the one who waits for the buckets, once something was settled.
    changed: Notify,
    held_until: StdMutex<Option<Instant>>,
}

struct Buckets {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

/// A token bucket. One may be taken as long as the level is not below zero, so that a request larger than the bucket
/// passes too and the next one waits for its debt.
struct Bucket {
    per_second: f64,
    capacity: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A bucket that holds what comes in a second, at least 1.
    fn new(per_minute: u32) -> Self {
        let per_second = f64::from(per_minute) / 60.0;
        let capacity = per_second.max(1.0);
        Self {
            per_second,
            capacity,
            level: capacity,
            at: Instant::now(),
        }
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let gained = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.level = (self.level + gained).min(self.capacity);
        self.at = now;
    }

    /// When the level reaches `needed`; now, if it has.
    fn ready(&mut self, needed: f64) -> Instant {
        self.refill();
        let missing = (needed - self.level).max(0.0);
        // Rounded up, or the level would lack a hair when the time has come.
        self.at + Duration::from_micros((missing / self.per_second * 1e6).ceil() as u64)
    }
}

impl Gate {
    pub fn new(pace: Pace) -> Self {
        Self {
            places: Semaphore::new((pace.in_flight as usize).min(Semaphore::MAX_PERMITS)),
            buckets: Mutex::new(Buckets {
                requests: pace.requests_per_minute.map(Bucket::new),
                tokens: pace.tokens_per_minute.map(Bucket::new),
            }),
            settled: StdMutex::new(0.0),
            changed: Notify::new(),
            held_until: StdMutex::new(None),
        }
    }

    /// Waits for a place and takes `tokens` for the request; the place is free again once the permit is dropped.
    pub async fn enter(&self, tokens: u64) -> Option<SemaphorePermit<'_>> {
        let permit = self.places.acquire().await.ok()?; // never closed
        let mut buckets = self.buckets.lock().await;
        loop {
            let until = buckets.ready(std::mem::take(&mut *lock(&self.settled)));
            let until = lock(&self.held_until).map_or(until, |held| held.max(until));
            if until <= Instant::now() {
                break;
            }
            let _ = timeout_at(until, self.changed.notified()).await;
        }
        buckets.take(tokens as f64);
        Some(permit)
    }

    /// Gives back what a request was taken to cost beyond what it did cost, or takes the rest.
    pub fn settle(&self, estimate: u64, actual: u64) {
        *lock(&self.settled) += estimate as f64 - actual as f64;
        self.changed.notify_one();
    }

    /// Lets nobody in for a while: the server said so.
    pub fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut held = lock(&self.held_until);
        *held = Some(held.map_or(until, |held| held.max(until)));
    }
}

impl Buckets {
    fn ready(&mut self, settled: f64) -> Instant {
        let mut until = Instant::now();
        if let Some(requests) = &mut self.requests {
            until = until.max(requests.ready(1.0));
        }
        if let Some(tokens) = &mut self.tokens {
            tokens.refill();
            tokens.level = (tokens.level + settled).min(tokens.capacity);
            until = until.max(tokens.ready(0.0));
        }
        until
    }

    fn take(&mut self, tokens: f64) {
        if let Some(requests) = &mut self.requests {
            requests.level -= 1.0;
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.level -= tokens;
        }
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn gate(in_flight: u32, requests: Option<u32>, tokens: Option<u32>) -> Gate {
        Gate::new(Pace {
            in_flight,
            requests_per_minute: requests,
            tokens_per_minute: tokens,
        })
    }

    async fn seconds(gate: &Gate, tokens: &[u64]) -> Vec<f64> {
        let start = Instant::now();
        let mut times = vec![];
        for tokens in tokens {
            drop(gate.enter(*tokens).await);
            times.push((start.elapsed().as_secs_f64() * 100.0).round() / 100.0);
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spread_over_the_minute() {
        assert_eq!(seconds(&gate(9, Some(30), None), &[1; 4]).await, [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(
            seconds(&gate(9, Some(180), None), &[1; 5]).await,
            [0.0, 0.0, 0.0, 0.33, 0.67]
        );
        assert_eq!(seconds(&gate(9, None, None), &[1; 4]).await, [0.0; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_of_tokens_is_waited_for() {
        let gate = gate(9, None, Some(600)); // 10 a second
        assert_eq!(seconds(&gate, &[5, 5, 100, 10, 0]).await, [0.0, 0.0, 0.0, 10.0, 11.0]);
        gate.settle(100, 40); // it cost 60 less: credit up to the bucket's size
        assert_eq!(seconds(&gate, &[10, 10, 1]).await, [0.0, 0.0, 1.0]);
        gate.settle(0, 50);
        assert_eq!(seconds(&gate, &[0]).await, [5.1]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_debt_hears_that_it_is_gone() {
        let gate = Arc::new(gate(9, None, Some(600)));
        drop(gate.enter(100_000).await);
        let start = Instant::now();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { drop(gate.enter(1).await) }
        });
        tokio::time::sleep(Duration::from_secs(2)).await;
        gate.settle(100_000, 50);
        waiting.await.expect("no panic");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_bounded_and_freed_and_a_wait_given_up_costs_nothing() {
        let gate = Arc::new(gate(1, Some(60), None));
        let first = gate.enter(1).await;
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { drop(gate.enter(1).await) }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!waiting.is_finished());
        waiting.abort();
        drop(first);
        assert_eq!(seconds(&gate, &[1, 1]).await, [0.0, 1.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_holds_everybody() {
        let gate = gate(4, None, None);
        gate.hold(Duration::from_secs(3));
        gate.hold(Duration::from_secs(1));
        assert_eq!(seconds(&gate, &[1, 1]).await, [3.0, 3.0]);
    }
}
