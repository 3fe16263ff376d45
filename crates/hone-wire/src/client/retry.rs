//! When to try again.

use super::Retry;
use http::HeaderMap;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, SystemTime};

/// Statuses after which the same request may succeed.
pub(crate) fn is_retried(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429 | 500 | 502 | 503 | 504 | 529)
}

/// The pauses of one request: the same for the same seed.
pub(crate) struct Backoff {
    retry: Retry,
    failed: u32,
    rng: ChaCha8Rng,
}

impl Backoff {
    pub fn new(retry: Retry, seed: u64) -> Self {
        Self {
            retry,
            failed: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The pause after another failure; `None` if that was the last attempt or the server demands too long a pause.
    pub fn pause(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let doubled = self.retry.base_ms.saturating_mul(1 << self.failed.min(32));
        self.failed += 1;
        let jitter = 0.5 + 0.5 * self.rng.random::<f64>();
        if self.failed >= self.retry.attempts {
            return None;
        }
        match retry_after {
            Some(pause) if pause > Duration::from_millis(self.retry.max_retry_after_ms) => None,
            // A bit later than told, so that clients that were told the same do not come back at once.
            Some(pause) => Some(pause + Duration::from_millis(self.retry.base_ms).mul_f64(jitter)),
            None => Some(Duration::from_millis(doubled.min(self.retry.max_ms)).mul_f64(jitter)),
        }
    }
}

/// What the headers say of the pause before the next request: `retry-after-ms`, or `Retry-After` in seconds or as a
/// date (RFC 9110, section 10.2.3). A date is taken relative to the server's own `Date`, whatever our clock says.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str, scale: f64| {
        let number: f64 = text.parse().ok()?;
        Duration::try_from_secs_f64(number * scale).ok()
    };
    if let Some(pause) = text("retry-after-ms").and_then(|t| seconds(t, 1e-3)) {
        return Some(pause);
    }
    let told = text("retry-after")?;
    seconds(told, 1.0).or_else(|| {
        let then = httpdate::parse_http_date(told).ok()?;
        let now = text("date")
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .unwrap_or_else(SystemTime::now);
        Some(then.duration_since(now).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn retry_after_in_all_its_forms() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (pairs, millis) in [
            (vec![("retry-after", "3")], Some(3_000)),
            (vec![("retry-after", " 0.25 ")], Some(250)),
            (vec![("retry-after", "7"), ("retry-after-ms", "20")], Some(20)),
            (
                vec![("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), date],
                Some(10_000),
            ),
            (
                vec![("retry-after", "Sunday, 06-Nov-94 08:49:47 GMT"), date],
                Some(10_000),
            ),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date], Some(0)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(0)),
            (vec![("retry-after", "-1")], None),
            (vec![("retry-after", "NaN")], None),
            (vec![("retry-after", "inf")], None),
            (vec![("retry-after", "1e300")], None),
            (vec![("retry-after", "soon")], None),
            (vec![], None),
        ] {
            assert_eq!(
                retry_after(&headers(&pairs)),
                millis.map(Duration::from_millis),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_the_same_for_the_same_seed() {
        let retry = Retry {
            attempts: 8,
            base_ms: 100,
            max_ms: 1_000,
            max_retry_after_ms: 5_000,
        };
        let pauses = |seed| -> Vec<u128> {
            let mut backoff = Backoff::new(retry, seed);
            std::iter::from_fn(|| backoff.pause(None))
                .map(|p| p.as_micros())
                .collect()
        };
        let first = pauses(1);
        assert_eq!(first.len(), 7);
        for (pause, most) in first.iter().zip([100, 200, 400, 800, 1_000, 1_000, 1_000]) {
            assert!((most * 500..=most * 1_000).contains(pause), "{first:?}");
        }
        assert_eq!(first, pauses(1));
        assert_ne!(first, pauses(2));
        let mut backoff = Backoff::new(retry, 1);
        let told = backoff.pause(Some(Duration::from_secs(5))).expect("short enough");
        assert!(told >= Duration::from_secs(5));
        assert_eq!(backoff.pause(Some(Duration::from_millis(5_001))), None);
        let endless = Retry {
            attempts: u32::MAX,
            ..retry
        };
        let mut backoff = Backoff::new(endless, 1);
        assert!((0..100).all(|_| backoff.pause(None).is_some_and(|p| p <= Duration::from_secs(1))));
    }
}
