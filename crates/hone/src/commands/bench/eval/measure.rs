//! Works done again and again, in turns with a peer.

use super::Args;
use crate::commands::bench::peer::Peer;
use crate::commands::bench::{Better, Measured};
use crate::console::say;
use crate::interrupt::{self, Interrupted};
use anyhow::{bail, ensure};
use serde_json::json;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Something to do again and again.
pub struct Work<'a> {
    /// As in the figure's name, and as the peer knows it.
    pub name: &'static str,
    /// Of which suite.
    pub suite: &'static str,
    /// What is counted, such as records.
    pub unit: &'static str,
    /// How many of them one pass scores.
    pub count: usize,
    /// One pass on that many threads: how many passed.
    pub pass: &'a (dyn Fn(usize) -> usize + Sync),
    /// What else to say of it.
    pub settings: serde_json::Value,
}

/// Seconds that a sample of ours lasts at least: passes are repeated within it.
const SAMPLE: f64 = 0.2;

/// Figures of a work: on one thread, and on all where that is more.
pub fn measure(args: &Args, work: &Work<'_>, mut peer: Option<&mut Peer>) -> anyhow::Result<Vec<Measured>> {
    let stop = interrupt::flag();
    let all = args.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, NonZero::get),
        usize::from,
    );
    let mut kinds = vec![(1, Vec::new())];
    if all > 1 {
        kinds.push((all, Vec::new()));
    }
    let mut theirs = vec![];
    let expected = (work.pass)(1);
    for round in 0..args.rounds {
        if stop.load(Ordering::Relaxed) {
            return Err(Interrupted("stopped; the figures so far are incomplete and are not shown".into()).into());
        }
        for (threads, samples) in &mut kinds {
            let (clock, mut passes) = (Instant::now(), 0);
            while passes == 0 || clock.elapsed().as_secs_f64() < SAMPLE {
                ensure!(
                    (work.pass)(*threads) == expected,
                    "{}: two passes differ; report this as a bug",
                    work.name
                );
                passes += 1;
            }
            samples.push((passes * work.count) as f64 / clock.elapsed().as_secs_f64());
        }
        if let Some(peer) = peer.as_deref_mut() {
            let found = peer.run(work.name)?;
            if found.passed != expected {
                bail!(
                    "{}: of {} answers we pass {expected} and the original {}, so the figures would not be of the same work; \
                     run the parity tests of the suite",
                    work.name,
                    work.count,
                    found.passed
                );
            }
            theirs.push(work.count as f64 / found.seconds);
            say(format!("{}: round {} of {}", work.name, round + 1, args.rounds));
        }
    }
    let figure = |(threads, samples): (usize, Vec<f64>)| {
        let suffix = if threads == 1 { "/one_thread" } else { "" };
        let name = format!("eval/{}/{}{suffix}", work.suite, work.name);
        let mut settings = work.settings.clone();
        settings["threads"] = json!(threads);
        settings["peer_threads"] = json!(1);
        settings[work.unit] = json!(work.count);
        settings["passed"] = json!(expected);
        let figure = Measured::new(name, "1/s", Better::Higher, &samples, &settings);
        if theirs.is_empty() {
            figure
        } else {
            figure.beside("original", &theirs)
        }
    };
    Ok(kinds.into_iter().map(figure).collect())
}

/// Items that a thread takes at a time.
const BLOCK: usize = 16;

/// Counts the items of which `one` holds, on that many threads. They take blocks in turns, since some items cost many times
/// what others do.
pub fn on_threads<T: Sync>(threads: usize, items: &[T], one: impl Fn(&T) -> bool + Sync) -> usize {
    let count = |items: &[T]| items.iter().filter(|item| one(item)).count();
    if threads <= 1 {
        return count(items);
    }
    let taken = AtomicUsize::new(0);
    let part = || {
        let mut found = 0;
        while let Some(rest) = items.get(taken.fetch_add(BLOCK, Ordering::Relaxed)..) {
            if rest.is_empty() {
                break;
            }
            found += count(&rest[..rest.len().min(BLOCK)]);
        }
        found
    };
    std::thread::scope(|scope| {
        // This thread is one of them.
        let running: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(part)).collect();
        let own = part();
        // A panic of a part is a panic here.
        let others = running
            .into_iter()
            .map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        own + others.sum::<usize>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_as_one_does() {
        let items: Vec<u32> = (0..1001).collect();
        for threads in [1, 2, 3, 64, 5000] {
            assert_eq!(on_threads(threads, &items, |n| n % 3 == 0), 334);
        }
        assert_eq!(on_threads(2, &[] as &[u32], |_| true), 0);
    }
}
