//! A command as an embedder.

use crate::embed::normalize;
use crate::words::beginning;
use crate::{Embedder, Purpose, SearchError, Vectors};
use hone_external::{CommandLine, Limits, Role, Session};
use serde::Deserialize;
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is sent at once: as many texts and, but for one long text, as many bytes.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 256 * 1024;
/// A text's beginning that is sent. Sentence embedders read a few hundred words.
const TEXT_BYTES: usize = 64 * 1024;
/// Numbers per vector, at most.
const DIMENSION: usize = 16_384;
/// What it may write: a batch of the largest vectors in a line, and any number of lines.
const LIMITS: Limits = Limits {
    line: 64 << 20,
    total: u64::MAX,
};

/// Vectors by a command that speaks JSON lines (docs/protocol.md): any sentence embedder, in any language. One process
/// answers all; threads take turns.
#[derive(Debug)]
pub struct CommandEmbedder {
    session: Mutex<Session>,
    name: String,
    version: String,
    dimension: usize,
}

#[derive(Deserialize)]
struct Answer {
    vectors: Vec<Vec<f32>>,
}

impl CommandEmbedder {
    /// Start the command. `timeout` bounds each exchange, the first of which may load a model.
    ///
    /// # Errors
    /// When it does not start, or does not say in its hello what it is.
    pub fn start(command: &CommandLine, timeout: Duration) -> Result<Self, SearchError> {
        let mut session = Session::start(command, Role::Embedder, timeout, LIMITS)?;
        let hello = session.hello().clone();
        if !(1..=DIMENSION).contains(&hello.dimension) {
            let what = format!(
                "its `dimension` is {}; an embedder says how many numbers its vectors have, from 1 to {DIMENSION}",
                hello.dimension
            );
            return Err(session.broken("hello", what).into());
        }
        Ok(Self {
            session: Mutex::new(session),
            name: if hello.name.is_empty() {
                command.shown()
            } else {
                hello.name
            },
            version: hello.version,
            dimension: hello.dimension,
        })
    }

    fn batch(&self, texts: &[&str], purpose: Purpose, flat: &mut Vec<f32>) -> Result<(), SearchError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let result = session.request("embed", json!({"texts": texts, "purpose": purpose}))?;
        let answer: Answer = session.read("embed", result)?;
        if answer.vectors.len() != texts.len() {
            let what = format!("{} vectors for {} texts", answer.vectors.len(), texts.len());
            return Err(session.broken("embed", what).into());
        }
        for (place, mut vector) in answer.vectors.into_iter().enumerate() {
            if vector.len() != self.dimension {
                let what = format!(
                    "vector {place} has {} numbers; its hello said {}",
                    vector.len(),
                    self.dimension
                );
                return Err(session.broken("embed", what).into());
            }
            normalize(&mut vector).map_err(|at| {
                session.broken(
                    "embed",
                    format!("number {at} of vector {place} is none that an f32 holds"),
                )
            })?;
            flat.extend_from_slice(&vector);
        }
        Ok(())
    }
}

impl Embedder for CommandEmbedder {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vectors, SearchError> {
        let texts: Vec<&str> = texts.iter().map(|text| beginning(text, TEXT_BYTES)).collect();
        let mut flat = Vec::with_capacity(texts.len() * self.dimension);
        let mut rest = &texts[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |text: &&&str| {
                bytes += text.len();
                bytes <= BATCH_BYTES
            };
            let count = rest.iter().take(BATCH).take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            self.batch(now, purpose, &mut flat)?;
            rest = later;
        }
        Ok(Vectors::new(self.dimension, flat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An embedder of two numbers (how many characters, how many spaces) that does what `embed` says in Python.
    fn start(embed: &str) -> Result<CommandEmbedder, SearchError> {
        let program = format!(
            r#"
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    if r["method"] == "hello":
        assert r["params"]["role"] == "embedder"
        result = {{"protocol": 1, "name": "counts", "version": "3", "dimension": 2}}
    else:
        texts = r["params"]["texts"]
        result = {embed}
    print(json.dumps({{"jsonrpc": "2.0", "id": r["id"], "result": result}}), flush=True)
"#
        );
        let command = CommandLine {
            argv: ["python3", "-c", &program].map(str::to_owned).to_vec(),
            label: Some("counts.py".to_owned()),
            folder: std::env::temp_dir(),
            env: Vec::new(),
        };
        CommandEmbedder::start(&command, Duration::from_secs(20))
    }

    #[test]
    fn a_command_embeds_in_batches_and_its_vectors_are_brought_to_length_one() {
        let embedder = start(r#"{"vectors": [[len(t), t.count(" ")] for t in texts]}"#).unwrap();
        assert_eq!(
            (embedder.name(), embedder.version(), embedder.dimension()),
            ("counts", "3", 2)
        );
        let texts: Vec<String> = (0..150).map(|i| "x".repeat(i % 7)).chain(["a  b".to_owned()]).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = embedder.embed(&texts, Purpose::Query).unwrap();
        assert_eq!(vectors.len(), 151);
        assert_eq!(vectors.row(0), Some(&[0.0, 0.0][..]));
        assert_eq!(vectors.row(100), Some(&[1.0, 0.0][..]));
        let last = vectors.row(150).unwrap();
        let length = 20.0_f32.sqrt();
        assert!(
            (last[0] - 4.0 / length).abs() < 1e-6 && (last[1] - 2.0 / length).abs() < 1e-6,
            "{last:?}"
        );
    }

    #[test]
    fn wrong_answers_are_named() {
        for (embed, says) in [
            (r#"{"vectors": [[1, 2]]}"#, "1 vectors for 2 texts"),
            (r#"{"vectors": [[1, 2], [1]]}"#, "vector 1 has 1 numbers"),
            (r#"{"vectors": [[1, 2], [1, 1e300]]}"#, "number 1 of vector 1"),
            (r#"{"vectors": [["a", 2], [1, 1]]}"#, "invalid type"),
            (r#"{"vector": []}"#, "missing field `vectors`"),
        ] {
            let error = start(embed)
                .unwrap()
                .embed(&["a", "b"], Purpose::Document)
                .unwrap_err()
                .to_string();
            assert!(error.contains(says) && error.contains("counts.py"), "{error}");
        }
    }
}
