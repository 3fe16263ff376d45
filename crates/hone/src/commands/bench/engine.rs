//! The in-process engine: training step, sampling, memory; alone or in turns with PyTorch on the same weights and data.
//!
//! Every measurement runs in a process of its own, so that its peak memory is its own. With a peer, both engines first
//! show that they compute the same: losses of the training steps, and log-probabilities through the cache.

mod child;

use super::neighbours::{DISTURBED, Neighbours};
use super::{Better, Measured, Workspace};
use crate::console::say;
use crate::interrupt::{self, Interrupted};
use anyhow::{Context, anyhow, bail, ensure};
use child::{Job, Report, Work};
use hone_engine::{AdamW, Architecture, Config, Lora, Weights, checkpoint};
use hone_trace::{Stream, TokenId};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

/// Batch sizes of sampling.
const BATCHES: [usize; 3] = [1, 8, 32];
const PROMPT_TOKENS: usize = 16;
const SAMPLED_TOKENS: usize = 200;
/// Training steps at the start of a process that are not counted.
const WARM_UP: usize = 2;
/// Relative difference up to which two engines say the same. Single precision gives about 1e-6.
const TOLERANCE: f64 = 1e-4;

/// The program of the PyTorch peer.
const TORCH_PEER: &str = include_str!("torch_peer.py");
/// That of the PyTorch peer with PEFT, for adapters.
const PEFT_PEER: &str = include_str!("peft_peer.py");

/// Training step and sampling of the in-process engine.
///
/// Training: cross-entropy and AdamW on 16 sequences of 256 tokens; a sample is a step. Sampling: 16 prompt tokens, 200
/// sampled at temperature 1, for 1, 8 and 32 sequences; a sample is one such run. Each in a process of its own, and once
/// more where other programs were busy meanwhile.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measure this engine in turns with ours, on the same weights and data
    #[arg(long)]
    peer: Option<Peer>,
    /// Which model: bakeoff (4.6 M parameters), nano (1.2 M); smollm2-lora (135 M): the training step of an adapter of rank 16, on 4
    /// sequences, beside PEFT
    #[arg(long = "model", value_name = "MODEL", default_values = ["bakeoff", "nano"])]
    models: Vec<Shape>,
    /// Rounds; each gives 4 samples of the step and 3 of each sampling batch
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Threads [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// What a child process measures
    #[arg(long, hide = true, requires = "job")]
    child: Option<Work>,
    /// The child's folder
    #[arg(long, hide = true)]
    job: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Peer {
    /// PyTorch, eager with SDPA
    Torch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    Bakeoff,
    Nano,
    #[value(name = "smollm2-lora")]
    SmolLm2Lora,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Bakeoff => "bakeoff",
            Self::Nano => "nano",
            Self::SmolLm2Lora => "smollm2-lora",
        }
    }

    /// The adapter that is trained instead of the model.
    fn lora(self) -> Option<Lora> {
        (self == Self::SmolLm2Lora).then(Lora::default)
    }

    /// Sequences of a training batch and tokens of each.
    fn batch(self) -> (usize, usize) {
        (if self == Self::SmolLm2Lora { 4 } else { 16 }, 256)
    }

    fn works(self) -> &'static [Work] {
        match self {
            Self::SmolLm2Lora => &[Work::Train],
            Self::Bakeoff | Self::Nano => &[Work::Train, Work::Sample],
        }
    }

    fn config(self) -> Config {
        let (vocab_size, hidden_size, intermediate_size) = match self {
            Self::Bakeoff => (512, 256, 704),
            Self::Nano => (896, 128, 352),
            Self::SmolLm2Lora => {
                return Config {
                    vocab_size: 49_152,
                    hidden_size: 576,
                    num_hidden_layers: 30,
                    num_attention_heads: 9,
                    num_key_value_heads: 3,
                    head_dim: 64,
                    intermediate_size: 1536,
                    rope_theta: 1e5,
                    rms_norm_eps: 1e-5,
                    max_position_embeddings: 512,
                    model_type: Architecture::Llama,
                    tie_word_embeddings: true,
                    rope_scaling: None,
                };
            }
        };
        Config {
            vocab_size,
            hidden_size,
            num_hidden_layers: 6,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: hidden_size / 4,
            intermediate_size,
            rope_theta: 1e4,
            rms_norm_eps: 1e-6,
            max_position_embeddings: 512,
            model_type: Architecture::Qwen2,
            tie_word_embeddings: true,
            rope_scaling: None,
        }
    }
}

/// How to run one of the engines.
struct Engine {
    name: &'static str,
    program: OsString,
    arguments: Vec<OsString>,
}

impl Engine {
    fn ours() -> anyhow::Result<Self> {
        let program = std::env::current_exe()
            .context("this program's own file is not known")?
            .into();
        let arguments = ["bench", "engine", "--job"].map(OsString::from).to_vec();
        Ok(Self {
            name: "hone",
            program,
            arguments,
        })
    }

    /// PyTorch, with PEFT for adapters.
    fn torch(lora: bool) -> anyhow::Result<Self> {
        let python = python();
        let (imports, program, packages) = match lora {
            false => ("import torch", TORCH_PEER, "torch"),
            true => ("import torch, transformers, peft", PEFT_PEER, "torch transformers peft"),
        };
        let found = Command::new(&python).args(["-c", imports]).output();
        let why = match found {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(last_line(&output.stderr)),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            bail!(
                "the peer needs {packages}, and {} cannot import it ({why}); run `pip install {packages}` for that Python, name \
                 another one with HONE_PYTHON, or let `scripts/test --full` make .venv with it",
                python.display()
            );
        }
        Ok(Self {
            name: "torch",
            program: python.into(),
            arguments: vec!["-c".into(), program.into()],
        })
    }

    fn measure(&self, work: Work, dir: &Path) -> anyhow::Result<Report> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        match self.name {
            "hone" => command.arg(dir).args(["--child", work.name()]),
            _ => command.arg(work.name()).arg(dir),
        };
        let output = command
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        // Ctrl-C reaches the children too.
        if interrupt::flag().load(Ordering::Relaxed) {
            return Err(Interrupted("stopped; the figures so far are incomplete and are not shown".to_owned()).into());
        }
        ensure!(
            output.status.success(),
            "{} ended with {} in its {} run: {}; try fewer --threads, or look for what took its memory",
            self.name,
            output.status,
            work.name(),
            last_line(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).with_context(|| format!("the report of {} is not one", self.name))
    }
}

/// `HONE_PYTHON`, else this checkout's virtual environment, else the system's Python.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("HONE_PYTHON") {
        return python.into();
    }
    let own = PathBuf::from(".venv/bin/python");
    if own.is_file() { own } else { "python3".into() }
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end().lines().last().unwrap_or("it said nothing").to_owned()
}

/// What one engine's processes found.
#[derive(Default)]
struct Samples {
    step: Vec<f64>,
    rates: BTreeMap<usize, Vec<f64>>,
    train_rss: Vec<f64>,
    sample_rss: Vec<f64>,
    version: Option<String>,
}

impl Samples {
    fn add(&mut self, work: Work, report: &Report) {
        match work {
            Work::Train => {
                self.step.extend(report.seconds.iter().skip(WARM_UP));
                self.train_rss.extend(report.peak_rss_mb);
            }
            Work::Sample => {
                for (batch, rates) in &report.rates {
                    self.rates.entry(*batch).or_default().extend(rates);
                }
                self.sample_rss.extend(report.peak_rss_mb);
            }
        }
        self.version.clone_from(&report.version);
    }
}

impl Args {
    /// The measurement of a child process, if this is one.
    pub fn child(&self) -> Option<anyhow::Result<Report>> {
        let (work, dir) = (self.child?, self.job.as_ref()?);
        Some(work.run(dir))
    }

    /// The figures.
    pub fn run(self) -> anyhow::Result<Vec<Measured>> {
        let mut figures = Vec::new();
        for &shape in &self.models {
            let mut engines = vec![Engine::ours()?];
            if self.peer == Some(Peer::Torch) {
                engines.push(Engine::torch(shape.lora().is_some())?);
            }
            figures.extend(self.measure(shape, &engines)?);
        }
        Ok(figures)
    }

    fn measure(&self, shape: Shape, engines: &[Engine]) -> anyhow::Result<Vec<Measured>> {
        // From here on Ctrl-C ends the bench by its children's end, so that the workspace goes.
        interrupt::flag();
        let dir = Workspace::new(&std::env::temp_dir())?;
        let threads = self.threads.map_or_else(child::cores, usize::from);
        let job = prepare(shape, threads, dir.path())?;
        let mut samples: Vec<Samples> = engines.iter().map(|_| Samples::default()).collect();
        for round in 1..=self.rounds {
            for &work in shape.works() {
                let label = format!("{} round {round}/{}", shape.name(), self.rounds);
                let (mut reports, others) = turn(engines, work, dir.path(), &label)?;
                if others > DISTURBED {
                    say(format!(
                        "{label}: once more, for other programs were busy; the quieter one counts"
                    ));
                    let again = turn(engines, work, dir.path(), &label)?;
                    if again.1 < others {
                        reports = again.0;
                    }
                }
                for (samples, report) in samples.iter_mut().zip(&reports) {
                    samples.add(work, report);
                }
            }
        }
        Ok(figures(shape, &job, &samples, engines.get(1).map(|engine| engine.name)))
    }
}

/// One measurement of each engine, and the most cores that other programs used during any of them.
fn turn(engines: &[Engine], work: Work, dir: &Path, label: &str) -> anyhow::Result<(Vec<Report>, f64)> {
    let mut reports = Vec::new();
    let mut most: f64 = 0.0;
    for engine in engines {
        let neighbours = Neighbours::watch();
        let report = engine.measure(work, dir)?;
        let others = neighbours.cores().unwrap_or(0.0);
        let note = if others > DISTURBED {
            format!(" (others used {others:.1} cores)")
        } else {
            String::new()
        };
        say(format!("{label}: {:<6} {}{note}", engine.name, report.line()));
        most = most.max(others);
        reports.push(report);
    }
    if let [ours, peer] = &reports[..] {
        same(ours, peer).map_err(|what| {
            let names = engines
                .iter()
                .map(|engine| engine.name)
                .collect::<Vec<_>>()
                .join(" and ");
            anyhow!("{names} do not compute the same: {what}; their figures cannot be compared: report this")
        })?;
    }
    Ok((reports, most))
}

/// Write the model and the job for the children of both engines.
fn prepare(shape: Shape, threads: usize, dir: &Path) -> anyhow::Result<Job> {
    let config = shape.config();
    let (sequences, length) = shape.batch();
    let stream = Stream::new(0).named("bench/engine");
    let mut position = 0;
    let mut tokens = |n: usize| -> Vec<TokenId> {
        let mut token = || {
            position += 1;
            (stream.uniform(position) * config.vocab_size as f64) as TokenId
        };
        (0..n).map(|_| token()).collect()
    };
    let job = Job {
        threads,
        ids: (0..sequences).map(|_| tokens(length + 1)).collect(),
        steps: WARM_UP + 4,
        lr: 1e-3,
        adamw: AdamW {
            weight_decay: 0.1,
            clip_norm: 0.0,
            ..AdamW::default()
        },
        prompts: (0..BATCHES.into_iter().max().unwrap_or(1))
            .map(|_| tokens(PROMPT_TOKENS))
            .collect(),
        tokens: SAMPLED_TOKENS,
        batches: BATCHES.to_vec(),
        runs: 3,
        check: tokens(64),
    };
    let weights = Weights::random(config, &stream.named("weights"))?;
    checkpoint::save(dir, &weights)?;
    if let Some(lora) = shape.lora() {
        checkpoint::save(dir, &weights.adapted(&lora, &stream.named("adapter"))?)?;
    }
    job.write(dir)?;
    Ok(job)
}

/// Whether two engines' reports on the same job say the same.
fn same(ours: &Report, peer: &Report) -> Result<(), String> {
    let close = |what: &str, a: f64, b: f64| {
        if (a - b).abs() <= TOLERANCE * a.abs().max(1.0) {
            Ok(())
        } else {
            Err(format!("{what} is {a} and {b}"))
        }
    };
    if ours.losses.len() != peer.losses.len() {
        return Err(format!(
            "{} and {} training steps",
            ours.losses.len(),
            peer.losses.len()
        ));
    }
    for (step, (a, b)) in ours.losses.iter().zip(&peer.losses).enumerate() {
        close(&format!("the loss at step {step}"), *a, *b)?;
    }
    match (ours.check, peer.check) {
        (Some(a), Some(b)) => close("the log-probability of the check sequence", a, b),
        (None, None) => Ok(()),
        _ => Err("only one of them scored the check sequence".to_owned()),
    }
}

fn figures(shape: Shape, job: &Job, samples: &[Samples], peer: Option<&'static str>) -> Vec<Measured> {
    let config = shape.config();
    let parameters = config.layout().len;
    let Some(ours) = samples.first() else { return Vec::new() };
    let beside = samples.get(1).zip(peer);
    let version = beside.and_then(|(samples, _)| samples.version.clone());
    let settings = |more: serde_json::Value| {
        let mut all =
            json!({"model": shape.name(), "parameters": parameters, "threads": job.threads, "precision": "f32"});
        if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
            all.extend(
                version
                    .clone()
                    .map(|version| ("peer_version".to_owned(), version.into())),
            );
        }
        all
    };
    let figure = |quantity: String, unit, better, of: &dyn Fn(&Samples) -> Vec<f64>, more| {
        let name = format!("engine/{}/{quantity}", shape.name());
        let figure = Measured::new(name, unit, better, &of(ours), &settings(more));
        match beside {
            Some((samples, peer)) => figure.beside(peer, &of(samples)),
            None => figure,
        }
    };
    let (sequences, tokens) = shape.batch();
    let mut train = json!({"sequences": sequences, "tokens": tokens, "optimizer": "AdamW"});
    if let Some(lora) = shape.lora() {
        train["lora"] = json!(lora);
    }
    let sample =
        |batch: usize| json!({"batch": batch, "prompt": PROMPT_TOKENS, "sampled": job.tokens, "temperature": 1});
    let mut figures = vec![
        figure(
            "train_step".into(),
            "s",
            Better::Lower,
            &|s| s.step.clone(),
            train.clone(),
        ),
        figure(
            "train_rss".into(),
            "MiB",
            Better::Lower,
            &|s| s.train_rss.clone(),
            train,
        ),
    ];
    for &batch in &job.batches {
        let rates = move |s: &Samples| s.rates.get(&batch).cloned().unwrap_or_default();
        figures.push(figure(
            format!("sample_b{batch}"),
            "tokens/s",
            Better::Higher,
            &rates,
            sample(batch),
        ));
    }
    let most = job.batches.iter().copied().max().unwrap_or(1);
    figures.push(figure(
        "sample_rss".into(),
        "MiB",
        Better::Lower,
        &|s| s.sample_rss.clone(),
        sample(most),
    ));
    // Memory has no samples where the system does not tell it.
    figures.retain(|figure| figure.n > 0);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(losses: &[f64], check: Option<f64>) -> Report {
        Report {
            losses: losses.to_vec(),
            check,
            ..Report::default()
        }
    }

    #[test]
    fn engines_that_compute_something_else_are_not_compared() {
        assert_eq!(
            same(&report(&[6.29, 6.08], None), &report(&[6.29, 6.080_001], None)),
            Ok(())
        );
        let error = |a: Report, b: Report| same(&a, &b).unwrap_err();
        assert!(error(report(&[6.29, 6.08], None), report(&[6.29, 6.09], None)).contains("step 1"));
        assert!(error(report(&[6.29], None), report(&[], None)).contains("training steps"));
        assert!(error(report(&[f64::NAN], None), report(&[1.0], None)).contains("step 0"));
        assert!(error(report(&[], Some(-300.0)), report(&[], Some(-300.1))).contains("check sequence"));
        assert!(error(report(&[], Some(-300.0)), report(&[], None)).contains("only one"));
    }

    #[test]
    fn our_children_measure_what_they_are_asked_to() {
        let dir = Workspace::new(&std::env::temp_dir()).unwrap();
        let mut job = prepare(Shape::Nano, 2, dir.path()).unwrap();
        job.ids.truncate(2);
        (job.steps, job.tokens, job.runs, job.batches) = (3, 4, 1, vec![1, 3]);
        job.write(dir.path()).unwrap();
        let trained = Work::Train.run(dir.path()).unwrap();
        assert_eq!((trained.losses.len(), trained.seconds.len()), (3, 3));
        // Random weights know nothing: the first loss is about ln(vocabulary), and training on one batch lowers it.
        assert!((trained.losses[0] - 896f64.ln()).abs() < 1.0, "{:?}", trained.losses);
        assert!(trained.losses[2] < trained.losses[0], "{:?}", trained.losses);
        assert!(trained.peak_rss_mb.is_none_or(|mib| mib > 1.0));
        let sampled = Work::Sample.run(dir.path()).unwrap();
        assert_eq!(
            sampled
                .rates
                .iter()
                .map(|(batch, rates)| (*batch, rates.len()))
                .collect::<Vec<_>>(),
            [(1, 1), (3, 1)]
        );
        assert!(sampled.check.unwrap() < -48.0);
    }
}
