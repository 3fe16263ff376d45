//! When an evaluation stops by itself: at its bound on cost, or because its model fails from the start.

use hone_trace::{EndReason, Episode, Outcome};

/// So many first episodes that all fail alike end the evaluation.
const FIRST: u32 = 8;

/// Looks at the episodes as they finish.
#[derive(Debug)]
pub struct Watch {
    max_usd: Option<f64>,
    /// What was spent so far, in US dollars.
    spent: f64,
    seen: u32,
    /// Why the model failed in all episodes so far, cut to what they have in common.
    failure: Option<String>,
    stop: Option<String>,
}

/// What to do with the rest of the episodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Play them.
    Go,
    /// Start no more.
    Finish,
    /// Drop those under way, too.
    Drop,
}

impl Watch {
    /// With a bound on cost, of which `spent` is gone already.
    pub fn new(max_usd: Option<f64>, spent: f64) -> Self {
        let mut watch = Self {
            max_usd,
            spent,
            seen: 0,
            failure: None,
            stop: None,
        };
        watch.check_cost();
        watch
    }

    /// Why the evaluation stops; `None` while it does not.
    pub fn stop(&self) -> Option<&str> {
        self.stop.as_deref()
    }

    /// Look at a finished episode.
    pub fn see(&mut self, episode: &Episode) -> Then {
        if self.max_usd.is_some()
            && episode
                .model_calls
                .iter()
                .filter_map(|c| c.remote.as_ref())
                .any(|r| r.usage.is_none())
        {
            let why = "the endpoint does not say how many tokens its answers take, so --max-cost cannot be kept; leave it out";
            self.stop = Some(why.to_owned());
            return Then::Finish;
        }
        self.spent += cost(episode);
        self.check_cost();
        if self.stop.is_some() {
            return Then::Finish;
        }
        if self.fails_alike(episode) {
            return Then::Drop;
        }
        Then::Go
    }

    fn check_cost(&mut self) {
        if let Some(max) = self.max_usd.filter(|max| self.spent > *max) {
            self.stop = Some(format!(
                "{:.4} USD are spent, more than --max-cost {max} allows; give a higher one to go on",
                self.spent
            ));
        }
    }

    /// Whether this is the last of so many first episodes whose model failed alike.
    fn fails_alike(&mut self, episode: &Episode) -> bool {
        let first = self.seen == 0;
        self.seen = self.seen.saturating_add(1);
        let cause = match &episode.outcome {
            Outcome::InfraFailed { cause } if episode.end == EndReason::ModelFailure => cause,
            _ => {
                self.failure = None;
                return false;
            }
        };
        // What comes later in it are the server's words, with ids that differ from call to call.
        let class = cause.split(": ").take(3).collect::<Vec<_>>().join(": ");
        self.failure = (first || self.failure.as_deref() == Some(&class)).then_some(class);
        let alike = self.seen == FIRST && self.failure.is_some();
        if alike {
            self.stop = Some(format!("the first {FIRST} episodes all failed alike: {cause}"));
        }
        alike
    }
}

/// What an episode's model calls cost, as far as prices are known.
pub fn cost(episode: &Episode) -> f64 {
    let remotes = episode.model_calls.iter().filter_map(|call| call.remote.as_ref());
    remotes.filter_map(|remote| remote.cost_usd).sum()
}

/// A bound on cost, for the command line.
///
/// # Errors
/// A sentence for the user when it is none.
pub fn usd(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|usd: &f64| usd.is_finite() && *usd > 0.0);
    number.ok_or_else(|| "write US dollars, a number above 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_trace::{ModelCall, Remote, Stream, Usage, sample};

    fn failed(cause: &str) -> Episode {
        let mut episode = sample::episode(&Stream::new(1), "eval/0/0", 2);
        episode.end = EndReason::ModelFailure;
        episode.outcome = Outcome::InfraFailed { cause: cause.into() };
        episode
    }

    #[test]
    fn a_model_that_fails_alike_from_the_start_ends_it_and_no_other_does() {
        let refused = |id: u32| {
            failed(&format!(
                "model: it stopped: URL refuses (status 401): no key, request {id}"
            ))
        };
        let mut watch = Watch::new(None, 0.0);
        let then: Vec<Then> = (0..8).map(|id| watch.see(&refused(id))).collect();
        assert_eq!(then[..7], [Then::Go; 7]);
        assert_eq!(then[7], Then::Drop);
        let stop = watch.stop().expect("a reason");
        assert!(stop.contains("status 401") && stop.contains("request 7"), "{stop}");

        for other in [
            failed("model: it stopped: URL refuses (status 404): no model"),
            sample::episode(&Stream::new(1), "eval/0/0", 2),
        ] {
            for at in [0, 3, 7] {
                let mut watch = Watch::new(None, 0.0);
                let all = (0..20).map(|id| watch.see(&if id == at { other.clone() } else { refused(id) }));
                assert!(all.into_iter().all(|then| then == Then::Go), "{at}");
            }
        }
    }

    #[test]
    fn the_bound_on_cost_counts_what_was_spent_before() {
        let mut episode = sample::episode(&Stream::new(1), "eval/0/0", 2);
        let usage = Some(Usage::default());
        let remote = |cost_usd, usage| {
            Some(Box::new(Remote {
                cost_usd,
                usage,
                ..Remote::default()
            }))
        };
        let calls: Vec<ModelCall> = std::mem::take(&mut episode.model_calls);
        episode.model_calls = calls.into_iter().take(2).collect();
        for call in &mut episode.model_calls {
            call.remote = remote(Some(0.25), usage);
        }
        assert_eq!(cost(&episode), 0.5);
        let mut watch = Watch::new(Some(1.5), 0.5);
        assert_eq!(
            [watch.see(&episode), watch.see(&episode), watch.see(&episode)],
            [Then::Go, Then::Go, Then::Finish]
        );
        assert!(watch.stop().expect("a reason").contains("--max-cost 1.5"));
        assert!(Watch::new(Some(1.0), 1.5).stop().is_some());

        episode.model_calls[1].remote = remote(None, None);
        let mut watch = Watch::new(Some(100.0), 0.0);
        assert_eq!(watch.see(&episode), Then::Finish);
        assert!(watch.stop().expect("a reason").contains("cannot be kept"));
        assert_eq!(Watch::new(None, 0.0).see(&episode), Then::Go);
    }

    #[test]
    fn costs_are_numbers_above_zero() {
        assert_eq!(usd("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "NaN", "inf", "$5"] {
            assert!(usd(wrong).is_err(), "{wrong}");
        }
    }
}
