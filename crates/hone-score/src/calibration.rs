//! How far stated confidence can be trusted.

use hone_trace::{Episode, Outcome};
use serde::{Deserialize, Serialize};

/// Bins of the reliability table and of both calibration errors.
pub const BINS: usize = 10;

/// One answer: how sure the model said it was, and whether it was right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stated {
    /// Confidence, 0 to 1.
    pub confidence: f64,
    /// Whether the answer was right.
    pub correct: bool,
}

impl Stated {
    /// What the agent of an episode that counts said; `None` where it was not asked, or what it said is no confidence.
    pub fn of(episode: &Episode) -> Option<Self> {
        let confidence = episode.confidence().filter(|_| episode.counts())?;
        let correct = episode.outcome == Outcome::Ok;
        Some(Self { confidence, correct })
    }
}

/// One bin of a reliability table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower edge of confidence, inclusive.
    pub from: f64,
    /// Upper edge, exclusive but for the last bin.
    pub to: f64,
    /// Answers in it.
    pub n: u64,
    /// Mean confidence in it.
    pub confidence: f64,
    /// Share of right answers in it.
    pub accuracy: f64,
}

/// Calibration of a set of answers. All measures are unchanged by the order of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Answers with a confidence.
    pub n: u64,
    /// Share of right answers.
    pub accuracy: f64,
    /// Expected calibration error over ten bins of equal width: `Σ_b n_b/n · |accuracy_b − confidence_b|` (Naeini et al.
    /// 2015; Guo et al. 2017, arXiv:1706.04599). A confidence of 1 falls into the last bin; empty bins add nothing.
    pub ece: f64,
    /// The same over up to ten bins of equal size (Nguyen & O'Connor 2015): the answers in order of confidence, cut at
    /// `⌊i·n/10⌋`. Equal confidences may fall on both sides of a cut.
    pub adaptive_ece: f64,
    /// Mean of `(confidence − correct)²` (Brier 1950).
    pub brier: f64,
    /// Chance that a right answer has a higher confidence than a wrong one, ties half (the rank statistic of Mann and
    /// Whitney); `None` if all are right or all are wrong.
    pub auroc: Option<f64>,
    /// Mean confidence of the wrong answers (MCIP of arXiv:2601.07264); `None` without any.
    pub confidence_when_wrong: Option<f64>,
    /// Mean confidence of the right answers; `None` without any.
    pub confidence_when_right: Option<f64>,
    /// The bins of `ece` that hold answers.
    pub reliability: Vec<Bin>,
}

impl Calibration {
    /// Of these answers; `None` if there are none. Confidences outside 0 to 1, and those that are not numbers, are the
    /// caller's to refuse: they are left out here.
    pub fn of(answers: &[Stated]) -> Option<Self> {
        let mut answers: Vec<Stated> = answers
            .iter()
            .copied()
            .filter(|a| (0.0..=1.0).contains(&a.confidence))
            .collect();
        answers.sort_by(|a, b| a.confidence.total_cmp(&b.confidence).then(a.correct.cmp(&b.correct)));
        let n = answers.len();
        if n == 0 {
            return None;
        }
        let place = |a: &Stated| ((a.confidence * BINS as f64) as usize).min(BINS - 1);
        let reliability: Vec<Bin> = answers
            .chunk_by(|a, b| place(a) == place(b))
            .filter_map(|chunk| {
                let bin = place(chunk.first()?) as f64;
                Bin::of(chunk, bin / BINS as f64, (bin + 1.0) / BINS as f64)
            })
            .collect();
        let cut = |i: usize| i * n / BINS;
        let adaptive = (0..BINS).filter_map(|i| Bin::of(&answers[cut(i)..cut(i + 1)], 0.0, 1.0));
        let error = |bins: &mut dyn Iterator<Item = Bin>| -> f64 {
            bins.map(|b| b.n as f64 / n as f64 * (b.accuracy - b.confidence).abs())
                .sum()
        };
        let of = |correct: bool| {
            let own: Vec<f64> = answers
                .iter()
                .filter(|a| a.correct == correct)
                .map(|a| a.confidence)
                .collect();
            (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
        };
        let right = answers.iter().filter(|a| a.correct).count();
        let squares: f64 = answers
            .iter()
            .map(|a| (a.confidence - f64::from(u8::from(a.correct))).powi(2))
            .sum();
        Some(Self {
            n: n as u64,
            accuracy: right as f64 / n as f64,
            ece: error(&mut reliability.iter().copied()),
            adaptive_ece: error(&mut adaptive.into_iter()),
            brier: squares / n as f64,
            auroc: auroc(&answers),
            confidence_when_wrong: of(false),
            confidence_when_right: of(true),
            reliability,
        })
    }
}

impl Bin {
    fn of(answers: &[Stated], from: f64, to: f64) -> Option<Self> {
        let n = answers.len() as f64;
        (!answers.is_empty()).then(|| Self {
            from,
            to,
            n: answers.len() as u64,
            confidence: answers.iter().map(|a| a.confidence).sum::<f64>() / n,
            accuracy: answers.iter().filter(|a| a.correct).count() as f64 / n,
        })
    }
}

/// By ranks, with the mean rank for equal confidences; the answers are in order of confidence.
fn auroc(answers: &[Stated]) -> Option<f64> {
    let right = answers.iter().filter(|a| a.correct).count() as f64;
    let wrong = answers.len() as f64 - right;
    let (mut before, mut ranks) = (0.0, 0.0);
    for tied in answers.chunk_by(|a, b| a.confidence == b.confidence) {
        let size = tied.len() as f64;
        ranks += tied.iter().filter(|a| a.correct).count() as f64 * (before + (size + 1.0) / 2.0);
        before += size;
    }
    (right > 0.0 && wrong > 0.0).then(|| (ranks - right * (right + 1.0) / 2.0) / (right * wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answers(table: &[(f64, u8)]) -> Vec<Stated> {
        let stated = |&(confidence, correct): &(f64, u8)| Stated {
            confidence,
            correct: correct == 1,
        };
        table.iter().map(stated).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn worked_example() {
        // By hand: Brier (.01 + .64 + .16 + .09) / 4, AUROC 3 of 4 pairs, each answer alone in its bin.
        let c = Calibration::of(&answers(&[(0.9, 1), (0.8, 0), (0.6, 1), (0.3, 0)])).unwrap();
        close(c.brier, 0.225);
        close(c.auroc.unwrap(), 0.75);
        close(c.ece, 0.4);
        // Ten bins for four answers: each alone again.
        close(c.adaptive_ece, 0.4);
        close(c.confidence_when_wrong.unwrap(), 0.55);
        close(c.confidence_when_right.unwrap(), 0.75);
        close(c.accuracy, 0.5);
        assert_eq!(c.reliability.len(), 4);
        assert_eq!(c.reliability.iter().map(|b| b.n).sum::<u64>(), 4);
    }

    #[test]
    fn bins_and_ties() {
        // 1.0 falls into the last bin beside 0.95: confidence .975, accuracy .5. The two of 0.2: bin [.2, .3).
        let c = Calibration::of(&answers(&[(1.0, 1), (0.95, 0), (0.2, 0), (0.2, 1)])).unwrap();
        close(c.ece, 0.5 * (0.975 - 0.5) + 0.5 * (0.5 - 0.2));
        assert_eq!((c.reliability[0].from, c.reliability[1].to), (0.2, 1.0));
        // Pairs right/wrong: 1 > .95, 1 > .2, .2 < .95, .2 = .2 (a half): 2.5 of 4.
        close(c.auroc.unwrap(), 0.625);
        // 20 answers of one confidence, half right: every equal-size bin holds 2 of them, wrong ones first.
        let tied: Vec<(f64, u8)> = (0..20).map(|i| (0.5, u8::from(i % 2 == 0))).collect();
        let c = Calibration::of(&answers(&tied)).unwrap();
        close(c.ece, 0.0);
        close(c.auroc.unwrap(), 0.5);
    }

    #[test]
    fn what_nothing_supports_is_absent() {
        assert_eq!(Calibration::of(&[]), None);
        assert_eq!(Calibration::of(&answers(&[(f64::NAN, 1), (1.5, 0), (-0.1, 1)])), None);
        let c = Calibration::of(&answers(&[(0.7, 1)])).unwrap();
        assert_eq!((c.auroc, c.confidence_when_wrong), (None, None));
    }

    proptest! {
        #[test]
        fn order_and_scale(table in prop::collection::vec((0.0..=1.0f64, 0..2u8), 1..60), by in 0usize..60) {
            let c = Calibration::of(&answers(&table)).unwrap();
            let mut turned = table.clone();
            turned.rotate_left(by % table.len());
            let t = Calibration::of(&answers(&turned)).unwrap();
            prop_assert!((c.ece - t.ece).abs() < 1e-12 && (c.brier - t.brier).abs() < 1e-12);
            prop_assert_eq!(c.auroc, t.auroc);
            prop_assert!(c.ece <= 1.0 && c.adaptive_ece <= 1.0 + 1e-12 && c.brier <= 1.0);
            // AUROC sees ranks only, and equals the count of pairs.
            let squared: Vec<(f64, u8)> = table.iter().map(|&(q, c)| (q / 2.0, c)).collect();
            prop_assert_eq!(c.auroc, Calibration::of(&answers(&squared)).unwrap().auroc);
            let (mut won, mut pairs) = (0.0, 0.0);
            for (q, _) in table.iter().filter(|(_, c)| *c == 1) {
                for (w, _) in table.iter().filter(|(_, c)| *c == 0) {
                    pairs += 1.0;
                    won += if q > w { 1.0 } else if q == w { 0.5 } else { 0.0 };
                }
            }
            match c.auroc {
                Some(a) => prop_assert!((a - won / pairs).abs() < 1e-9),
                None => prop_assert_eq!(pairs, 0.0),
            }
        }
    }
}
