//! What a child process of `hone bench engine` does: one kind of work, and a report of it on stdout.

use anyhow::{Context, ensure};
use hone_engine::decode::{Cache, Feed, Scratch, feed};
use hone_engine::{AdamW, Before, CrossEntropy, Learner, Row, Weights, checkpoint, choose};
use hone_trace::{SamplingSettings, Stream, TokenId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

const JOB: &str = "job.json";

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    Train,
    Sample,
}

/// What children of both engines are to do, beside the model in the same folder.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Compute threads.
    pub threads: usize,
    /// Training batch `[sequences][tokens + 1]`: every token but the first is predicted.
    pub ids: Vec<Vec<TokenId>>,
    /// Training steps.
    pub steps: usize,
    /// Learning rate.
    pub lr: f32,
    /// Optimiser.
    pub adamw: AdamW,
    /// Prompts, all of one length.
    pub prompts: Vec<Vec<TokenId>>,
    /// Tokens to sample after each.
    pub tokens: usize,
    /// Numbers of sequences sampled at once.
    pub batches: Vec<usize>,
    /// Runs of each.
    pub runs: usize,
    /// A sequence to score through the cache, a prompt's length at first and then token by token.
    pub check: Vec<TokenId>,
}

/// What a child found.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Mean cross-entropy before each training step, in nats.
    pub losses: Vec<f64>,
    /// Wall time of each training step.
    pub seconds: Vec<f64>,
    /// Sampled tokens per second of each run, by batch.
    pub rates: BTreeMap<usize, Vec<f64>>,
    /// Log-probability in nats of the check sequence after its prompt.
    pub check: Option<f64>,
    /// Most memory that the process had resident, in MiB, where the system says.
    pub peak_rss_mb: Option<f64>,
    /// The peer's version.
    pub version: Option<String>,
}

impl Job {
    /// Put the job into a folder.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(JOB);
        std::fs::write(&path, serde_json::to_string(self)?).with_context(|| format!("cannot write {}", path.display()))
    }

    fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(JOB);
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not a job", path.display()))
    }
}

impl Report {
    /// What a person wants to see of it while the bench runs.
    pub fn line(&self) -> String {
        let median = |samples: &[f64]| super::super::quantile(samples, 0.5);
        let mut line = match &self.seconds[..] {
            [] => String::new(),
            seconds => format!("{:.3} s/step, ", median(seconds)),
        };
        for (batch, rates) in &self.rates {
            line.push_str(&format!("{:.0} tokens/s at {batch}, ", median(rates)));
        }
        let rss = self
            .peak_rss_mb
            .map_or("unknown memory".to_owned(), |mib| format!("{mib:.0} MiB"));
        line + &rss
    }
}

impl Work {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Sample => "sample",
        }
    }

    /// Do the job in `dir`, on the model there.
    pub fn run(self, dir: &Path) -> anyhow::Result<Report> {
        let job = Job::read(dir)?;
        let mut weights = checkpoint::load(dir)?;
        if dir.join("adapter_config.json").is_file() {
            weights = checkpoint::load_on(dir, &weights)?;
        }
        let mut report = match self {
            Self::Train => train(&job, weights)?,
            Self::Sample => sample(&job, &weights)?,
        };
        report.peak_rss_mb = peak_rss_mb();
        Ok(report)
    }
}

fn train(job: &Job, weights: Weights) -> anyhow::Result<Report> {
    let targets: Vec<Vec<u32>> = job.ids.iter().map(|ids| (1..ids.len() as u32).collect()).collect();
    let rows: Vec<Row<'_>> = job
        .ids
        .iter()
        .zip(&targets)
        .map(|(ids, targets)| Row { ids, targets })
        .collect();
    let predicted: usize = targets.iter().map(Vec::len).sum();
    let mean = vec![1.0 / predicted as f32; rows.len()];
    let mut learner = Learner::new(weights, job.threads);
    let mut report = Report::default();
    for _ in 0..job.steps {
        let clock = Instant::now();
        let pass = learner.pass(&rows, 1.0, &CrossEntropy { weights: &mean });
        learner.step(job.lr, &job.adamw)?;
        report.seconds.push(clock.elapsed().as_secs_f64());
        report.losses.push(pass.loss);
    }
    Ok(report)
}

fn sample(job: &Job, weights: &Weights) -> anyhow::Result<Report> {
    let prompt = job.prompts.first().map_or(0, Vec::len);
    ensure!(
        prompt > 0 && prompt < job.check.len(),
        "the job's prompts are empty or as long as its check sequence"
    );
    let mut report = Report {
        check: Some(check(weights, &job.check, prompt)),
        ..Report::default()
    };
    for &batch in &job.batches {
        ensure!(
            batch <= job.prompts.len(),
            "the job has {} prompts, too few for a batch of {batch}",
            job.prompts.len()
        );
        let prompts = &job.prompts[..batch];
        generate(weights, prompts, 8, job.threads);
        let rates = report.rates.entry(batch).or_default();
        for _ in 0..job.runs {
            let clock = Instant::now();
            generate(weights, prompts, job.tokens, job.threads);
            rates.push((batch * job.tokens) as f64 / clock.elapsed().as_secs_f64());
        }
    }
    Ok(report)
}

/// Log-probability of the ids after the prompt, fed one by one through the cache.
fn check(weights: &Weights, ids: &[TokenId], prompt: usize) -> f64 {
    let (mut cache, mut scratch) = (Cache::default(), Scratch::default());
    let mut fed = 0;
    let mut total = 0.0;
    for at in prompt..ids.len() {
        let mut feeds = [Feed {
            cache: &mut cache,
            ids: &ids[fed..at],
            want: true,
        }];
        let logits = feed(weights, &mut feeds, &mut scratch);
        let exps: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        total += f64::from(logits[ids[at] as usize]) - exps.ln();
        fed = at;
    }
    total
}

/// Sample `tokens` tokens after each prompt as the sampler does: each thread has its share of the sequences.
fn generate(weights: &Weights, prompts: &[Vec<TokenId>], tokens: usize, threads: usize) -> Vec<Vec<TokenId>> {
    let share = prompts.len().div_ceil(threads.max(1)).max(1);
    let mut out = vec![Vec::with_capacity(tokens); prompts.len()];
    std::thread::scope(|scope| {
        let mut shares = prompts.chunks(share).zip(out.chunks_mut(share)).enumerate();
        let first = shares.next();
        for (at, (prompts, out)) in shares {
            scope.spawn(move || generate_share(weights, prompts, out, tokens, at));
        }
        if let Some((at, (prompts, out))) = first {
            generate_share(weights, prompts, out, tokens, at);
        }
    });
    out
}

fn generate_share(weights: &Weights, prompts: &[Vec<TokenId>], out: &mut [Vec<TokenId>], tokens: usize, share: usize) {
    let settings = SamplingSettings {
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
        max_tokens: tokens as u32,
        stream: String::new(),
        ..SamplingSettings::default()
    };
    let stream = Stream::new(share as u64).named("bench/sample");
    let mut caches: Vec<Cache> = prompts.iter().map(|_| Cache::default()).collect();
    let mut scratch = Scratch::default();
    let mut position = 0;
    let mut logprob = 0.0;
    for _ in 0..tokens {
        let mut feeds: Vec<Feed<'_>> = caches
            .iter_mut()
            .zip(prompts)
            .zip(&*out)
            .map(|((cache, prompt), out)| Feed {
                cache,
                ids: out.last().map_or(prompt, std::slice::from_ref),
                want: true,
            })
            .collect();
        let logits = feed(weights, &mut feeds, &mut scratch);
        for (logits, out) in logits.chunks_exact_mut(weights.config.vocab_size).zip(&mut *out) {
            let choice = choose(logits, &settings, &Before::default(), stream.uniform(position));
            position += 1;
            logprob += choice.logprob;
            out.push(choice.token);
        }
    }
    std::hint::black_box(logprob);
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Most memory that this process had resident so far, in MiB, where the system says.
fn peak_rss_mb() -> Option<f64> {
    #[cfg(unix)]
    {
        // SAFETY: all zeros is a valid `rusage`, and the pointer to it is valid for the call.
        let (status, usage) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            (libc::getrusage(libc::RUSAGE_SELF, &mut usage), usage)
        };
        let unit = if cfg!(target_os = "macos") { 1 << 20 } else { 1 << 10 };
        (status == 0).then(|| usage.ru_maxrss as f64 / f64::from(unit))
    }
    #[cfg(not(unix))]
    None
}
