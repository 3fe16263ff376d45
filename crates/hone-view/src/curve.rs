//! Curves, and what every drawing of them needs: units, axes, fewer points.

/// What the values of a panel are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A fraction of one, shown in percent.
    Fraction,
    /// A number of something: `nats`, `tokens`; empty for a bare number.
    Number(&'static str),
}

impl Unit {
    /// A value as people read it.
    pub(crate) fn show(&self, value: f64) -> String {
        match self {
            Self::Fraction => percent(value),
            Self::Number(unit) => {
                let gap = if unit.is_empty() { "" } else { " " };
                format!("{}{gap}{unit}", short(value))
            }
        }
    }
}

/// One line of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Name, as in the legend.
    pub name: String,
    /// `(x, y)` with x rising. A y that is not finite is a gap.
    pub points: Vec<(f64, f64)>,
    /// `(x, low, high)` around it, with x rising; empty where nothing is known of its spread.
    pub band: Vec<(f64, f64, f64)>,
}

impl Curve {
    /// A curve.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            band: Vec::new(),
        }
    }

    /// The curve with a band around it.
    pub fn within(mut self, band: Vec<(f64, f64, f64)>) -> Self {
        self.band = band;
        self
    }

    /// The last finite value.
    pub(crate) fn last(&self) -> Option<f64> {
        self.points.iter().rev().map(|p| p.1).find(|y| y.is_finite())
    }
}

/// Curves that share their axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Title.
    pub title: String,
    /// One sentence on how to read it.
    pub about: String,
    /// What the x axis counts: `step`.
    pub x: String,
    /// What the y axis measures.
    pub unit: Unit,
    /// The curves; the first is the most important one.
    pub curves: Vec<Curve>,
}

impl Panel {
    /// Finite range of x over all curves; `None` when there is nothing to draw.
    pub(crate) fn x_range(&self) -> Option<(f64, f64)> {
        range(self.finite().map(|p| p.0))
    }

    /// The y axis: its ends and ticks. Fractions get the whole 0 to 100 % unless all are small; other numbers start at
    /// zero unless that would flatten them.
    pub(crate) fn y_axis(&self, ticks: usize) -> Option<Axis> {
        let (lo, hi) = range(self.finite().map(|p| p.1))?;
        if self.unit == Unit::Fraction && lo >= 0.0 && hi <= 1.0 && hi > 0.2 {
            return Some(Axis {
                lo: 0.0,
                hi: 1.0,
                ticks: vec![0.0, 0.25, 0.5, 0.75, 1.0],
            });
        }
        let lo = if lo > 0.0 && lo < 0.6 * hi { 0.0 } else { lo };
        Some(Axis::around(lo, hi, ticks))
    }

    fn finite(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.curves
            .iter()
            .flat_map(|c| {
                let ends = c.band.iter().flat_map(|(x, low, high)| [(*x, *low), (*x, *high)]);
                c.points.iter().copied().chain(ends)
            })
            .filter(|(x, y)| x.is_finite() && y.is_finite())
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((lo, hi)) => Some((f64::min(lo, v), f64::max(hi, v))),
    })
}

/// An axis: its ends and where to put labels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub lo: f64,
    pub hi: f64,
    pub ticks: Vec<f64>,
}

impl Axis {
    /// An axis that holds `lo..=hi`, with about `count` ticks at multiples of 1, 2 or 5 times a power of ten, ending on ticks.
    pub fn around(lo: f64, hi: f64, count: usize) -> Self {
        let step = tick_step(lo, hi, count);
        let first = (lo / step + 1e-9).floor();
        let last = (hi / step - 1e-9).ceil().max(first + 1.0);
        let ticks: Vec<f64> = (0..=(last - first).min(100.0) as u64)
            .map(|i| (first + i as f64) * step)
            .collect();
        Self {
            lo: first * step,
            hi: last * step,
            ticks,
        }
    }

    /// An axis that ends exactly at `lo` and `hi`, with ticks inside.
    pub fn within(lo: f64, hi: f64, count: usize) -> Self {
        let hi = if hi > lo { hi } else { lo + 1.0 };
        let step = tick_step(lo, hi, count);
        let first = (lo / step - 1e-9).ceil();
        let ticks = (0..100)
            .map(|i| (first + f64::from(i)) * step)
            .take_while(|t| *t <= hi + step * 1e-9)
            .collect();
        Self { lo, hi, ticks }
    }

    /// Where a value lies, 0 at `lo` and 1 at `hi`, kept inside.
    pub fn place(&self, value: f64) -> f64 {
        ((value - self.lo) / (self.hi - self.lo)).clamp(0.0, 1.0)
    }
}

fn tick_step(lo: f64, hi: f64, count: usize) -> f64 {
    let span = if hi > lo { hi - lo } else { lo.abs().max(1.0) };
    let rough = span / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|s| *s >= rough * 0.999)
        .unwrap_or(10.0 * power);
    // Ranges at the edge of what a float can hold have no sensible ticks.
    if step.is_finite() && step > 0.0 { step } else { 1.0 }
}

/// At most about `2 * buckets` points that keep every bucket's lowest and highest, so that no spike is lost. Gaps stay
/// gaps.
pub(crate) fn downsample(points: &[(f64, f64)], buckets: usize) -> Vec<(f64, f64)> {
    if points.len() <= 2 * buckets {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(2 * buckets);
    for bucket in 0..buckets {
        let (from, to) = (bucket * points.len() / buckets, (bucket + 1) * points.len() / buckets);
        let finite = || (from..to).filter(|i| points[*i].1.is_finite());
        let low = finite().min_by(|a, b| points[*a].1.total_cmp(&points[*b].1));
        let high = finite().max_by(|a, b| points[*a].1.total_cmp(&points[*b].1));
        match (low, high) {
            (Some(a), Some(b)) if a != b => kept.extend([points[a.min(b)], points[a.max(b)]]),
            (Some(a), _) => kept.push(points[a]),
            _ => kept.push(points[from]),
        }
    }
    kept
}

/// Mean of each point's neighbours, `half` to either side (fewer at the ends, so that a steep start stays steep). In
/// time linear in the points, whatever `half` is.
pub(crate) fn running_mean(points: &[(f64, f64)], half: usize) -> Vec<(f64, f64)> {
    // Sum and number of the finite values before each point.
    let mut before = Vec::with_capacity(points.len() + 1);
    before.push((0.0, 0u32));
    for &(_, y) in points {
        let (sum, n) = before[before.len() - 1];
        before.push(if y.is_finite() { (sum + y, n + 1) } else { (sum, n) });
    }
    (0..points.len())
        .map(|i| {
            let half = half.min(i).min(points.len() - 1 - i);
            let (from, to) = (before[i - half], before[i + half + 1]);
            (points[i].0, (to.0 - from.0) / f64::from(to.1 - from.1))
        })
        .collect()
}

/// A fraction in percent: `93 %`, `0.4 %`, `99.6 %`.
pub(crate) fn percent(fraction: f64) -> String {
    if !fraction.is_finite() {
        return "–".into();
    }
    let value = fraction * 100.0;
    let whole = (value - value.round()).abs() < 0.05;
    if whole {
        format!("{:.0} %", value.round() + 0.0)
    } else {
        format!("{value:.1} %")
    }
}

/// A number in few characters: `0.031`, `4.2`, `318`, `12k`, `1.5M`.
pub(crate) fn short(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let size = value.abs();
    let trimmed = |v: f64, digits: usize| {
        let text = format!("{v:.digits$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    };
    match size {
        0.0 => "0".into(),
        s if s < 1e-3 => format!("{value:.1e}"),
        s if s < 0.1 => trimmed(value, 4),
        s if s < 10.0 => trimmed(value, 2),
        s if s < 100.0 => trimmed(value, 1),
        s if s < 9_999.5 => trimmed(value, 0),
        s if s < 999_500.0 => format!("{}k", trimmed(value / 1e3, 1)),
        s if s < 999_500_000.0 => format!("{}M", trimmed(value / 1e6, 1)),
        s if s < 1e15 => format!("{}G", trimmed(value / 1e9, 1)),
        _ => format!("{value:.1e}"),
    }
}

/// A duration: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} min {:02} s", s / 60, s % 60),
        s => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.000_02, "2.0e-5"),
            (0.031, "0.031"),
            (4.2, "4.2"),
            (4.0, "4"),
            (31.46, "31.5"),
            (318.4, "318"),
            (1200.0, "1200"),
            (12_000.0, "12k"),
            (1_540_000.0, "1.5M"),
            (-2.5, "-2.5"),
            (f64::NAN, "–"),
            (999_600.0, "1M"),
        ] {
            assert_eq!(short(value), text);
        }
        for (value, text) in [
            (0.93, "93 %"),
            (0.004, "0.4 %"),
            (0.9962, "99.6 %"),
            (1.0, "100 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(percent(value), text);
        }
        for (value, text) in [
            (0.84, "0.8 s"),
            (42.2, "42 s"),
            (185.0, "3 min 05 s"),
            (7800.0, "2 h 10 min"),
        ] {
            assert_eq!(duration(value), text);
        }
        assert_eq!(Unit::Number("nats").show(1.25), "1.25 nats");
    }

    #[test]
    fn axes_hold_their_values_and_end_on_ticks() {
        let axis = Axis::around(0.13, 2.9, 4);
        assert_eq!((axis.lo, axis.hi, axis.ticks), (0.0, 3.0, vec![0.0, 1.0, 2.0, 3.0]));
        let within = Axis::within(0.0, 120.0, 5);
        assert_eq!(within.ticks, [0.0, 50.0, 100.0]);
        for (lo, hi) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (-3.0, -3.0),
            (1e-300, 2e-300),
            (-1e308, 1e308),
            (1e15, 1e15 + 1.0),
        ] {
            let axis = Axis::around(lo, hi, 4);
            assert!(axis.ticks.len() <= 101 && axis.hi > axis.lo, "{lo}..{hi}: {axis:?}");
            assert!((0.0..=1.0).contains(&axis.place(lo)));
        }
    }

    #[test]
    fn downsampling_keeps_spikes_and_gaps() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), 1.0)).collect();
        points[77_777].1 = 50.0;
        points[12_345].1 = -50.0;
        for point in &mut points[40_000..60_000] {
            point.1 = f64::NAN;
        }
        let few = downsample(&points, 200);
        assert!(few.len() <= 400);
        assert!(few.contains(&(77_777.0, 50.0)) && few.contains(&(12_345.0, -50.0)));
        assert!(few.iter().any(|p| p.1.is_nan()));
        assert!(few.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn running_mean_keeps_the_ends() {
        let points: Vec<(f64, f64)> = [9.0, 1.0, 2.0, 3.0, 7.0]
            .iter()
            .enumerate()
            .map(|(i, y)| (i as f64, *y))
            .collect();
        let smooth: Vec<f64> = running_mean(&points, 1).iter().map(|p| p.1).collect();
        assert_eq!(smooth, [9.0, 4.0, 2.0, 4.0, 7.0]);
    }
}
