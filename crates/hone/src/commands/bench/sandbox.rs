//! What isolation costs, and how far code gets beyond its bounds.

mod soak;
mod verltool;

use super::peer::Peer;
use super::{Better, Measured, quantile};
use crate::interrupt::{self, Interrupted};
use anyhow::{anyhow, bail, ensure};
use hone_sandbox::{
    Call, Cause, Interpreter, InterpreterSettings, Language, Limits, Outcome, ProcessRuntime, Session, SessionSettings,
    Spec, run,
};
use hone_verltool::{Interpreter as Interpreting, Item, Request, Service, ServiceSettings, python_code, python_pool};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What isolation costs: calls of a warm Python, new sessions, processes, many at once; and overruns of bounds.
///
/// The peer is what many tool servers do: a Python that starts another one for each call, without any isolation. It does
/// the same calls in turns with ours, on as many threads.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Calls of a round
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls: u32,
    /// Rounds, after one that warms up and does not count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Short calls that are all wanted at once, each in a session of its own
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    crowd: u32,
    /// Sessions that live at the same time
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    sessions: u32,
    /// Only this: run calls for so many seconds while processes of the sandboxes are killed at random, and list what is left
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    soak: Option<u64>,
    /// Only this: our tool server beside VerlTool's, from a checkout of TIGER-AI-Lab/verl-tool; --python names the one that runs it,
    /// with fastapi, fire, uvicorn, httptools, regex, tqdm and ray
    #[arg(long, value_name = "CHECKOUT", conflicts_with = "soak")]
    verltool: Option<PathBuf>,
    /// The Python of the sessions and of the peer
    #[arg(long, value_name = "PYTHON", default_value = "python3")]
    python: PathBuf,
}

const PEER: &str = "subprocess per call";
/// Of ours and of the peer's, where several run at once.
const THREADS: u32 = 4;

#[derive(Deserialize)]
struct Done {
    seconds: Vec<f64>,
    whole: f64,
}

impl Args {
    /// The figures.
    pub fn run(self) -> anyhow::Result<Vec<Measured>> {
        if let Some(checkout) = &self.verltool {
            return verltool::run(checkout, &self.python, self.calls, self.rounds);
        }
        if let Some(seconds) = self.soak {
            return soak::run(Duration::from_secs(seconds), &self.python);
        }
        let runtime = ProcessRuntime::new()?;
        let python = Some(self.python.clone());
        let start = Instant::now();
        let interpreter = Interpreter::start(
            &runtime,
            &InterpreterSettings {
                python,
                ..InterpreterSettings::default()
            },
        )?;
        let started = start.elapsed().as_secs_f64() * 1e3;
        let mut figures = self.calls(&interpreter)?;
        figures.extend(self.processes(&runtime)?);
        figures.push(self.crowd()?);
        figures.push(self.many(&interpreter)?);
        figures.extend(overruns(&runtime, self.rounds)?);
        let settings = json!({"python": interpreter.version()});
        figures.push(Measured::new(
            "sandbox/interpreter/start".into(),
            "ms",
            Better::Lower,
            &[started],
            &settings,
        ));
        Ok(figures)
    }

    /// Calls one after the other and on several threads, in turns with the peer.
    fn calls(&self, interpreter: &Interpreter) -> anyhow::Result<Vec<Measured>> {
        let job = json!({"threads": THREADS, "code": CODE, "answer": ANSWER});
        let mut peer = Peer::start(&self.python, include_str!("sandbox_peer.py"), &job)?;
        let settings = SessionSettings::new(Language::Python);
        let mut session = interpreter.session(&settings)?;
        let (mut warm, mut fresh, mut rate) = (Vec::new(), Vec::new(), Vec::new());
        let (mut peer_alone, mut peer_rate) = (Vec::new(), Vec::new());
        // The peer takes a hundred times as long: so many calls of it tell as much.
        let few = self.calls.div_ceil(20);
        for round in 0..=self.rounds {
            stopped()?;
            let (ours, theirs) = (
                timed(self.calls, || short(&mut session))?,
                peer.ask::<Done>(&format!("alone {few}"))?,
            );
            let new = timed(self.calls.div_ceil(4), || short(&mut interpreter.session(&settings)?))?;
            let start = Instant::now();
            let wanted = self.calls * THREADS;
            together(interpreter, wanted)?;
            let (many, many_theirs) = (
                start.elapsed().as_secs_f64(),
                peer.ask::<Done>(&format!("together {}", few * THREADS))?,
            );
            if round > 0 {
                warm.extend(ours);
                fresh.extend(new);
                rate.push(f64::from(wanted) / many);
                peer_alone.extend(theirs.seconds.iter().map(|s| s * 1e3));
                peer_rate.push(f64::from(few * THREADS) / many_theirs.whole);
            }
        }
        let settings = json!({"calls": self.calls, "rounds": self.rounds, "code": CODE});
        let mut together = settings.clone();
        together["threads"] = json!(THREADS);
        Ok(vec![
            figure("python/call", &warm, &settings).beside(PEER, &peer_alone),
            figure("python/session", &fresh, &settings).beside(PEER, &peer_alone),
            Measured::new(
                "sandbox/python/calls".into(),
                "calls/s",
                Better::Higher,
                &rate,
                &together,
            )
            .beside(PEER, &peer_rate),
        ])
    }

    /// Sandboxes of one program each.
    fn processes(&self, runtime: &ProcessRuntime) -> anyhow::Result<Vec<Measured>> {
        let n = self.calls.div_ceil(4);
        let mut figures = Vec::new();
        let system = Spec::new(["true"]);
        let python = Spec::new(["python3", "-I", "-c", "pass"]);
        for (name, spec) in [("process/true", system), ("process/python", python)] {
            let once = || match run(runtime, &spec, b"")?.end.cause {
                Cause::Exited(0) => Ok(()),
                cause => bail!("{} ended with {cause:?}; this needs it below /usr", spec.argv.join(" ")),
            };
            timed(1, once)?;
            figures.push(figure(
                name,
                &timed(n, once)?,
                &json!({"runs": n, "command": spec.argv}),
            ));
            stopped()?;
        }
        Ok(figures)
    }

    /// Many calls that are all wanted at once, each in a session of its own, of the tool server without its network.
    fn crowd(&self) -> anyhow::Result<Measured> {
        let pool = python_pool(Arc::new(ProcessRuntime::new()?), Some(self.python.clone()))?;
        let tool = python_code(Interpreting::Fresh, &pool).map_err(|why| anyhow!(why))?;
        let settings = ServiceSettings {
            trajectories: self.crowd as usize,
            ..ServiceSettings::default()
        };
        let service = Service::new(vec![tool], settings);
        let threads = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(settings.concurrent + 8)
            .enable_time()
            .build()?;
        let before = mib("/proc/self/status", "VmRSS:");
        let start = Instant::now();
        let calls = (0..self.crowd).map(|n| {
            let item = Item {
                trajectory: n.to_string(),
                action: format!("<python>print({n} * 3)</python>"),
                finish: false,
                is_last_step: true,
                extra: serde_json::Map::new(),
            };
            let service = &service;
            async move {
                let answer = service.observe(Request(vec![item])).await;
                match (&answer.observations[0], answer.valids[0]) {
                    (Value::String(text), true) if *text == format!("\n<result>\n{}\n</result>\n", n * 3) => Ok(true),
                    // The server says that it could not, and why.
                    (Value::Object(refused), false) if refused.contains_key("error") => Ok(false),
                    (other, _) => Err(anyhow!("call {n} was answered with {other}; report this as a bug")),
                }
            }
        });
        let answers = threads.block_on(futures_util::future::try_join_all(calls))?;
        let seconds = start.elapsed().as_secs_f64();
        let right = answers.iter().filter(|right| **right).count();
        let settings = json!({
            "calls": self.crowd, "at_a_time": settings.concurrent, "right": right, "refused": answers.len() - right,
            "resident_before_mib": before, "resident_most_mib": resident_mib(), "left": service.counts().trajectories,
        });
        Ok(Measured::new(
            "sandbox/python/crowd".into(),
            "calls/s",
            Better::Higher,
            &[f64::from(self.crowd) / seconds],
            &settings,
        ))
    }

    /// What a session takes of the machine's memory while others live.
    fn many(&self, interpreter: &Interpreter) -> anyhow::Result<Measured> {
        let before = available_mib();
        let mut sessions = Vec::new();
        for n in 0..self.sessions {
            let mut session = interpreter.session(&SessionSettings::new(Language::Python))?;
            short(&mut session)?;
            sessions.push(session);
            if n % 64 == 0 {
                stopped()?;
            }
        }
        let each = (before - available_mib()) / f64::from(self.sessions);
        // They are all still there.
        sessions.iter_mut().try_for_each(short)?;
        let settings = json!({"sessions": self.sessions, "all_mib": each * f64::from(self.sessions)});
        Ok(Measured::new(
            "sandbox/python/memory".into(),
            "MiB/session",
            Better::Lower,
            &[each],
            &settings,
        ))
    }
}

/// A call that computes and prints, and its answer.
const CODE: &str = "print(sum(i * i for i in range(100)))";
const ANSWER: &str = "328350\n";

fn short(session: &mut Session) -> anyhow::Result<()> {
    let reply = session.call(&Call {
        code: CODE,
        ..Call::default()
    })?;
    let right = reply.outcome == Outcome::Ok { status: None } && reply.output.head == ANSWER.as_bytes();
    ensure!(right, "a call was answered with {reply:?}; report this as a bug");
    Ok(())
}

/// Milliseconds of each of `n`.
fn timed(n: u32, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
    let once = |_| {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..n).map(once).collect()
}

/// `n` calls on several threads, in a session for each thread.
fn together(interpreter: &Interpreter, n: u32) -> anyhow::Result<()> {
    let next = AtomicU32::new(0);
    let work = || -> anyhow::Result<()> {
        let mut session = interpreter.session(&SessionSettings::new(Language::Python))?;
        while next.fetch_add(1, Ordering::Relaxed) < n {
            short(&mut session)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread of the bench ended in a panic; report this as a bug"),
        })
    })
}

/// How far beyond its bounds code gets before it is ended.
fn overruns(runtime: &ProcessRuntime, rounds: u32) -> anyhow::Result<Vec<Measured>> {
    let wall = Limits {
        wall: Duration::from_millis(200),
        ..Limits::default()
    };
    let memory = Limits {
        memory: 128 << 20,
        ..Limits::default()
    };
    let grow = "for i in 1 2 3 4; do (head -c 100M /dev/zero; sleep 20) | tail & done; wait";
    let (mut late, mut large) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        stopped()?;
        let end = |limits, script| -> anyhow::Result<_> {
            Ok(run(
                runtime,
                &Spec {
                    limits,
                    ..Spec::new(["bash", "-c", script])
                },
                b"",
            )?
            .end)
        };
        let slow = end(wall, "while :; do :; done")?;
        let big = end(memory, grow)?;
        ensure!(
            slow.cause == Cause::Wall && big.cause == Cause::Memory,
            "a bound did not hold: {slow:?}, {big:?}; report this as a bug"
        );
        late.push(slow.wall.saturating_sub(wall.wall).as_secs_f64() * 1e3);
        large.push(big.peak_memory.saturating_sub(memory.memory) as f64 / f64::from(1 << 20));
    }
    let settings = json!({"bound_ms": 200});
    let of_memory = json!({"bound_mib": 128, "code": "four processes that grow to 100 MiB each"});
    Ok(vec![
        Measured::new("sandbox/overrun/wall".into(), "ms", Better::Lower, &late, &settings),
        Measured::new(
            "sandbox/overrun/memory".into(),
            "MiB",
            Better::Lower,
            &large,
            &of_memory,
        ),
    ])
}

/// A figure with its 99th percentile.
fn figure(name: &str, milliseconds: &[f64], settings: &Value) -> Measured {
    let mut figure = Measured::new(format!("sandbox/{name}"), "ms", Better::Lower, milliseconds, settings);
    figure
        .settings
        .insert("p99".into(), quantile(milliseconds, 0.99).into());
    figure
}

fn stopped() -> anyhow::Result<()> {
    match interrupt::flag().load(Ordering::Relaxed) {
        true => Err(Interrupted("stopped; the figures so far are incomplete and are not shown".to_owned()).into()),
        false => Ok(()),
    }
}

/// The number of kB in a line of a file of /proc, in MiB; NaN where the system does not tell.
fn mib(file: &str, key: &str) -> f64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    number.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// The most memory that this process has had.
fn resident_mib() -> f64 {
    mib("/proc/self/status", "VmHWM:")
}

fn available_mib() -> f64 {
    mib("/proc/meminfo", "MemAvailable:")
}
