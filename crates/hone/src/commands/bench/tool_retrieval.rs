//! Retrieval of tools: how often the right ones are found, and how fast.

mod bfcl;

use super::{Better, Measured, quantile};
use crate::console::say;
use crate::interrupt::{self, Interrupted};
use crate::{data, embedder};
use anyhow::bail;
use bfcl::{Pool, Query};
use hone_search::tools::{Offer, ToolIndex, Wanted, tool_text};
use hone_search::{Embedder, HashedNgrams, Method};
use hone_tool::{ToolSpec, estimated_tokens};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Numbers per vector of the built-in embedder.
const DIMENSION: usize = 512;
/// How far down a ranking a right tool is still looked for.
const DEPTH: usize = 100;
/// How many tools a prompt gets, where tokens are counted.
const SHOWN: usize = 20;
/// Tools of each server in the large pool.
const PER_SERVER: usize = 25;
/// Servers that are looked at, where they are.
const SERVERS: usize = 5;

const METHODS: [(&str, Method); 3] = [
    ("bm25", Method::Bm25),
    ("dense", Method::Dense),
    ("fused", Method::Fused),
];

/// Retrieval of tools: recall over BFCL's functions, time at 10,000 tools, tokens saved.
///
/// The pool is all functions that any BFCL record offers; a tool is a name, and where records describe one name
/// differently each description is searched. Queries are the records' requests (of multi-turn records each turn), right are
/// the functions that the gold answer calls. Recall@k is the share of these among the first k names; MRR is that of the
/// first right one, among the first 100.
///
/// For times the pool is filled up with variants: a copy of a tool under a new name, with the second half of another
/// tool's description. They are in no recall.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the data of published suites lies (default: HONE_DATA, .hone-data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A command that makes vectors of texts (docs/protocol.md), in place of the built-in lexical one; its words are
    /// separated by spaces
    #[arg(long, value_name = "COMMAND")]
    embedder: Option<String>,
    /// Seconds that the embedder may take for each batch
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Tools of the pool in which times are measured; 0 measures none
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    tools: u32,
    /// Queries that are timed
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    timed: u32,
}

impl Args {
    /// The figures.
    pub fn run(self) -> anyhow::Result<Vec<Measured>> {
        if let Some(folder) = &self.data {
            data::look_in(folder.clone());
        }
        let Some(folder) = data::folder_with("bfcl") else {
            bail!("there is no folder bfcl in the data; name the folder that holds it with --data or in HONE_DATA");
        };
        let pool = Pool::load(&folder)?;
        let embedder = self.embedder(&pool.specs)?;
        say(format!(
            "{} functions under {} names, {} queries; vectors by {} {}",
            pool.specs.len(),
            pool.names(),
            pool.queries.len(),
            embedder.name(),
            embedder.version()
        ));
        let settings = json!({
            "documents": pool.specs.len(), "tools": pool.names(), "data": pool.digest,
            "embedder": embedder.name(), "embedder_version": embedder.version(), "dimension": embedder.dimension(),
        });
        let mut figures = recall(&pool, embedder.clone(), &settings)?;
        if self.tools > 0 {
            figures.extend(self.times(&pool, embedder, &settings)?);
        }
        Ok(figures)
    }

    fn embedder(&self, specs: &[ToolSpec]) -> anyhow::Result<Arc<dyn Embedder>> {
        let Some(command) = &self.embedder else {
            let texts: Vec<String> = specs.iter().map(tool_text).collect();
            return Ok(Arc::new(HashedNgrams::fit(texts.iter().map(String::as_str), DIMENSION)));
        };
        Ok(embedder::start(command, Duration::from_secs(self.timeout))?)
    }

    /// Times in a pool of the wanted size, query by query.
    fn times(&self, pool: &Pool, embedder: Arc<dyn Embedder>, settings: &Value) -> anyhow::Result<Vec<Measured>> {
        let specs = filled_up(&pool.specs, self.tools as usize);
        say(format!("indexing {} tools for times", specs.len()));
        let clock = Instant::now();
        let offers = specs
            .into_iter()
            .enumerate()
            .map(|(at, spec)| offer(format!("s{}", at / PER_SERVER), spec));
        let index = ToolIndex::build(offers.collect(), &[], Some(embedder))?;
        let built = clock.elapsed().as_secs_f64();
        let every = (pool.queries.len() / self.timed as usize).max(1);
        let queries: Vec<&Query> = pool.queries.iter().step_by(every).take(self.timed as usize).collect();
        let mut settings = settings.clone();
        settings["tools"] = index.offers().len().into();
        settings["variants"] = index.offers().len().saturating_sub(pool.specs.len()).into();
        settings["k"] = SHOWN.into();
        let mut embedding = Vec::new();
        let mut vectors = Vec::new();
        for query in &queries {
            stopped()?;
            let clock = Instant::now();
            vectors.push(vec![index.embed(&query.text)?]);
            embedding.push(ms(clock));
        }
        let mut figures = vec![
            Measured::new(
                "tool-retrieval/time/index".into(),
                "s",
                Better::Lower,
                &[built],
                &settings,
            ),
            timed("embed_query", &embedding, &settings),
        ];
        for (name, method) in METHODS {
            for (level, servers) in [("", 0), ("_by_server", SERVERS)] {
                let wanted = Wanted {
                    servers,
                    ..Wanted::best(SHOWN, method)
                };
                let mut samples = Vec::with_capacity(queries.len());
                for (query, vectors) in queries.iter().zip(&vectors) {
                    stopped()?;
                    let clock = Instant::now();
                    std::hint::black_box(index.find_embedded(&[&query.text], vectors, &wanted)?);
                    samples.push(ms(clock));
                }
                figures.push(timed(&format!("{name}{level}"), &samples, &settings));
            }
        }
        Ok(figures)
    }
}

fn timed(name: &str, samples: &[f64], settings: &Value) -> Measured {
    let mut figure = Measured::new(
        format!("tool-retrieval/time/{name}"),
        "ms",
        Better::Lower,
        samples,
        settings,
    );
    figure.settings.insert("p95".into(), quantile(samples, 0.95).into());
    figure
}

fn ms(clock: Instant) -> f64 {
    clock.elapsed().as_secs_f64() * 1e3
}

fn stopped() -> anyhow::Result<()> {
    match interrupt::flag().load(Ordering::Relaxed) {
        true => Err(Interrupted("stopped; the figures so far are incomplete and are not shown".to_owned()).into()),
        false => Ok(()),
    }
}

fn offer(server: String, spec: ToolSpec) -> Offer {
    Offer {
        server,
        tags: Vec::new(),
        spec,
    }
}

/// The tools, and variants until there are `count`.
fn filled_up(specs: &[ToolSpec], count: usize) -> Vec<ToolSpec> {
    let half = |text: &str| {
        text.char_indices()
            .nth(text.chars().count() / 2)
            .map_or(0, |(at, _)| at)
    };
    let variant = |at: usize| {
        let (own, other) = (&specs[at % specs.len()], &specs[(at * 7 + 13) % specs.len()]);
        let (first, second) = (&own.description, &other.description);
        ToolSpec {
            name: format!("{}_{}", own.name, at / specs.len()),
            description: format!("{}{}", &first[..half(first)], &second[half(second)..]),
            ..own.clone()
        }
    };
    let variants = (specs.len()..count).map(variant);
    specs
        .iter()
        .take(count)
        .cloned()
        .chain(variants)
        .enumerate()
        .map(|(at, spec)| ToolSpec {
            // Records describe one name differently; here every tool has its own.
            name: format!("{}_{at}", spec.name),
            ..spec
        })
        .collect()
}

/// What one method found.
#[derive(Default)]
struct Found {
    recall: [Vec<f64>; 3],
    reciprocal: Vec<f64>,
    by_category: BTreeMap<&'static str, (f64, usize)>,
}

const AT: [usize; 3] = [1, 5, 10];

fn recall(pool: &Pool, embedder: Arc<dyn Embedder>, settings: &Value) -> anyhow::Result<Vec<Measured>> {
    let offers = pool
        .specs
        .iter()
        .enumerate()
        .map(|(at, spec)| offer(at.to_string(), spec.clone()));
    let index = ToolIndex::build(offers.collect(), &[], Some(embedder))?;
    let mut found = METHODS.map(|_| Found::default());
    let costs: Vec<usize> = pool.specs.iter().map(estimated_tokens).collect();
    let mut shown = Vec::with_capacity(pool.queries.len());
    for query in &pool.queries {
        stopped()?;
        let vectors = [index.embed(&query.text)?];
        for ((_, method), found) in METHODS.iter().zip(&mut found) {
            let wanted = Wanted::best(DEPTH, *method);
            let ranked = index.find_embedded(&[&query.text], &vectors, &wanted)?;
            let mut seen = HashSet::new();
            let rows: Vec<usize> = ranked
                .iter()
                .map(|tool| tool.row)
                .filter(|row| seen.insert(pool.specs[*row].name.as_str()))
                .collect();
            found.add(query, rows.iter().map(|row| pool.specs[*row].name.as_str()));
            if *method == Method::Fused {
                shown.push(rows.iter().take(SHOWN).map(|row| costs[*row] as f64).sum::<f64>());
            }
        }
    }
    let mut figures = Vec::new();
    for ((name, _), found) in METHODS.iter().zip(found) {
        for (at, samples) in AT.iter().zip(&found.recall) {
            let mut figure = mean(format!("tool-retrieval/bfcl/{name}/recall@{at}"), samples, settings);
            if *at == 5 {
                let parts: Map<String, Value> = found
                    .by_category
                    .iter()
                    .map(|(category, (sum, n))| ((*category).to_owned(), json!([sum / *n as f64, n])))
                    .collect();
                figure.settings.insert("by_category".into(), parts.into());
            }
            figures.push(figure);
        }
        figures.push(mean(
            format!("tool-retrieval/bfcl/{name}/mrr"),
            &found.reciprocal,
            settings,
        ));
    }
    // One description for each name, as a prompt with all tools would have them.
    let mut seen = HashSet::new();
    let first = |(spec, cost): (&ToolSpec, &usize)| seen.insert(spec.name.clone()).then_some(*cost);
    let all: usize = pool.specs.iter().zip(&costs).filter_map(first).sum();
    let mut cost = Measured::new(
        "tool-retrieval/bfcl/prompt_tokens".into(),
        "tokens",
        Better::Lower,
        &shown,
        settings,
    );
    cost.settings.insert("k".into(), SHOWN.into());
    cost.settings.insert("all_tools".into(), all.into());
    cost.settings
        .insert("saved".into(), (1.0 - cost.value / all as f64).into());
    figures.push(cost);
    Ok(figures)
}

/// A figure whose value is the mean of its samples.
fn mean(name: String, samples: &[f64], settings: &Value) -> Measured {
    let mut figure = Measured::new(name, "fraction", Better::Higher, samples, settings);
    figure.value = samples.iter().sum::<f64>() / samples.len() as f64;
    figure
}

impl Found {
    fn add<'a>(&mut self, query: &Query, names: impl Iterator<Item = &'a str>) {
        let right: Vec<usize> = names
            .enumerate()
            .filter(|(_, name)| query.gold.contains(*name))
            .map(|(place, _)| place)
            .collect();
        for (at, samples) in AT.iter().zip(&mut self.recall) {
            let hit = right.iter().filter(|place| *place < at).count();
            samples.push(hit as f64 / query.gold.len() as f64);
        }
        self.reciprocal
            .push(right.first().map_or(0.0, |place| 1.0 / (place + 1) as f64));
        let (sum, n) = self.by_category.entry(query.category).or_default();
        *sum += self.recall[1].last().copied().unwrap_or(0.0);
        *n += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_and_reciprocal_rank_are_those_of_the_definition() {
        let query = Query {
            category: "parallel",
            text: String::new(),
            gold: ["a", "b"].map(str::to_owned).into(),
        };
        let mut found = Found::default();
        found.add(&query, ["x", "a", "y", "z", "w", "b"].into_iter());
        found.add(&query, ["x"].into_iter());
        assert_eq!(found.recall, [vec![0.0, 0.0], vec![0.5, 0.0], vec![1.0, 0.0]]);
        assert_eq!(found.reciprocal, [0.5, 0.0]);
        assert_eq!(found.by_category["parallel"], (0.5, 2));
    }
}
