//! A run while it goes on: one live line on a terminal, a line now and then elsewhere.

use crate::chart::Look;
use crate::curve::{duration, percent, short};
use crate::html::put;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Where a phase stands. Numbers that are not known yet are left out of the line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Steps done.
    pub step: u64,
    /// Steps planned; 0 if unknown.
    pub steps: u64,
    /// Of the episodes that are being played for this step: how many have ended, of how many.
    pub episodes: Option<(u64, u64)>,
    /// Loss, in nats.
    pub loss: Option<f64>,
    /// Success, as a fraction.
    pub success: Option<f64>,
    /// Share of valid tool calls.
    pub valid_calls: Option<f64>,
    /// Mean agent turns of an episode.
    pub turns: Option<f64>,
    /// Tokens per second.
    pub tokens_per_second: Option<f64>,
}

/// Shows the phases of a run on stderr.
#[derive(Debug)]
pub struct Progress {
    sink: Sink,
    look: Look,
    /// What is counted.
    unit: &'static str,
    phase: String,
    phase_start: Instant,
    /// When the last line went out, where lines are written.
    last_line: Option<Instant>,
    status: Status,
}

#[derive(Debug)]
enum Sink {
    /// A terminal: one line, redrawn.
    Live(ProgressBar),
    /// No terminal: a line every so often.
    Lines(Duration),
    /// Nothing at all.
    Quiet,
}

impl Progress {
    /// On stderr: live on a terminal, else a line every ten seconds and at the end of each phase.
    pub fn stderr() -> Self {
        let sink = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("a valid template"));
            Sink::Live(bar)
        } else {
            Sink::Lines(Duration::from_secs(10))
        };
        Self::new(sink)
    }

    /// Shows nothing.
    pub fn quiet() -> Self {
        Self::new(Sink::Quiet)
    }

    fn new(sink: Sink) -> Self {
        Self {
            sink,
            look: Look::of_stderr(),
            unit: "step",
            phase: String::new(),
            phase_start: Instant::now(),
            last_line: None,
            status: Status::default(),
        }
    }

    /// What is counted, where it is not steps: `episode`.
    pub fn of(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// A new phase begins; the one before is finished.
    pub fn phase(&mut self, name: &str) {
        self.finish();
        self.phase = name.to_owned();
        self.phase_start = Instant::now();
        self.last_line = None;
        self.status = Status::default();
    }

    /// Where the phase stands now.
    pub fn update(&mut self, status: Status) {
        self.status = status;
        let now = Instant::now();
        if let Some(line) = self.due(now) {
            eprintln_quietly(&line);
        }
        if let Sink::Live(bar) = &self.sink {
            bar.set_message(self.line(now));
        }
    }

    /// A line that stays, above the live one. Say results here; text of unknown origin goes through
    /// [`crate::printable`] first.
    pub fn note(&self, line: &str) {
        match &self.sink {
            Sink::Live(bar) => bar.suspend(|| eprintln_quietly(line)),
            Sink::Lines(_) => eprintln_quietly(line),
            Sink::Quiet => {}
        }
    }

    /// The phase is over: its last state stays as a line.
    pub fn finish(&mut self) {
        if self.phase.is_empty() {
            return;
        }
        let took = self.phase_start.elapsed();
        let line = finished_line(&self.phase, &self.status, self.unit, took, self.look);
        self.phase.clear();
        if let Sink::Live(bar) = &self.sink {
            bar.set_message("");
        }
        self.note(&line);
    }

    fn line(&self, now: Instant) -> String {
        live_line(
            &self.phase,
            &self.status,
            now.duration_since(self.phase_start),
            self.look,
        )
    }

    /// The line to write now, where lines are written and the time has come.
    fn due(&mut self, now: Instant) -> Option<String> {
        let Sink::Lines(every) = self.sink else {
            return None;
        };
        if now.duration_since(self.last_line.unwrap_or(self.phase_start)) < every {
            return None;
        }
        self.last_line = Some(now);
        Some(self.line(now))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Sink::Live(bar) = &self.sink {
            bar.finish_and_clear();
        }
    }
}

/// Unlike `eprintln!`, does not panic when stderr is closed.
fn eprintln_quietly(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn live_line(phase: &str, status: &Status, elapsed: Duration, look: Look) -> String {
    let mut line = bold(phase, look);
    if status.steps > 0 {
        let done = (status.step as f64 / status.steps as f64).clamp(0.0, 1.0);
        put!(&mut line, "  {} {}/{}", meter(done, 8, look), status.step, status.steps);
    } else if status.step > 0 || status.episodes.is_none() {
        put!(&mut line, "  {}", status.step);
    }
    if let Some((ended, wanted)) = status.episodes {
        put!(&mut line, "  {ended}/{wanted} episodes");
    }
    // Early in the line, so that a narrow terminal does not cut it off.
    if let Some(left) = time_left(status, elapsed) {
        put!(&mut line, "  ETA {}", duration(left.round()));
    }
    line += &numbers(status);
    line
}

fn finished_line(phase: &str, status: &Status, unit: &str, took: Duration, look: Look) -> String {
    let mut line = bold(phase, look);
    if status.step > 0 {
        put!(
            &mut line,
            "  {} {unit}{}",
            status.step,
            if status.step == 1 { "" } else { "s" }
        );
    }
    line += &numbers(status);
    put!(&mut line, "  in {}", duration(took.as_secs_f64()));
    line
}

fn numbers(status: &Status) -> String {
    let parts = [
        status.loss.map(|v| format!("  loss {v:.3}")),
        status.success.map(|v| format!("  success {}", percent(v))),
        status.valid_calls.map(|v| format!("  valid {}", percent(v))),
        status.turns.map(|v| format!("  turns {v:.1}")),
        status.tokens_per_second.map(|v| format!("  {} tok/s", short(v))),
    ];
    parts.into_iter().flatten().collect()
}

/// Seconds left, if the steps (the episodes, in a phase without steps) to come take as long as those done.
fn time_left(status: &Status, elapsed: Duration) -> Option<f64> {
    let (done, all) = match status.episodes {
        Some(episodes) if status.steps == 0 => episodes,
        _ => (status.step, status.steps),
    };
    let left = all.checked_sub(done).filter(|left| *left > 0)?;
    (done > 0).then(|| elapsed.as_secs_f64() / done as f64 * left as f64)
}

fn meter(done: f64, width: usize, look: Look) -> String {
    let full = (done * width as f64).round() as usize;
    let (on, off) = if look.unicode { ("━", "┄") } else { ("#", ".") };
    on.repeat(full) + &off.repeat(width - full)
}

fn bold(text: &str, look: Look) -> String {
    if look.color {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            step: 30,
            steps: 120,
            episodes: None,
            loss: None,
            success: Some(0.71),
            valid_calls: Some(0.985),
            turns: Some(4.25),
            tokens_per_second: Some(12_300.0),
        }
    }

    #[test]
    fn lines_say_what_is_known() {
        let line = live_line("RL", &status(), Duration::from_secs(60), Look::PLAIN);
        assert_eq!(
            line,
            "RL  ##...... 30/120  ETA 3 min 00 s  success 71 %  valid 98.5 %  turns 4.2  12.3k tok/s"
        );
        let line = finished_line("RL", &status(), "step", Duration::from_secs(240), Look::PLAIN);
        assert!(
            line.starts_with("RL  30 steps  success 71 %") && line.ends_with("in 4 min 00 s"),
            "{line}"
        );
        let line = finished_line("eval", &status(), "episode", Duration::ZERO, Look::PLAIN);
        assert!(line.starts_with("eval  30 episodes  success 71 %"), "{line}");
        let playing = Status {
            episodes: Some((7, 64)),
            ..Status::default()
        };
        let line = live_line("eval", &playing, Duration::from_secs(20), Look::PLAIN);
        assert_eq!(line, "eval  7/64 episodes  ETA 2 min 43 s");
        let bare = live_line(
            "SFT",
            &Status::default(),
            Duration::ZERO,
            Look {
                unicode: true,
                color: true,
            },
        );
        assert_eq!(bare, "\u{1b}[1mSFT\u{1b}[0m  0");
    }

    #[test]
    fn without_a_terminal_lines_are_rare() {
        let mut progress = Progress::new(Sink::Lines(Duration::from_secs(10)));
        progress.phase = "RL".into();
        progress.status = status();
        let start = progress.phase_start;
        let spoken: Vec<u64> = (0..35u64)
            .filter(|s| progress.due(start + Duration::from_secs(*s)).is_some())
            .collect();
        assert_eq!(spoken, [10, 20, 30]);
        let mut quiet = Progress::quiet();
        assert_eq!(quiet.due(start + Duration::from_secs(100)), None);
    }
}
