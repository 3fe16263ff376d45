//! What the tests of the program share: calling it in a folder of its own, and reading what it says.
#![allow(dead_code)] // Builds with fewer features use less of it.

pub mod counting;
pub mod server;

use assert_cmd::Command;
use hone_engine::{Architecture, Config, Weights, checkpoint};
use hone_trace::Stream;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A working directory for one test.
pub struct Place {
    pub dir: TempDir,
}

/// What a call gave.
pub struct Said {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Call `hone` with these arguments, split at spaces, without any data.
    pub fn hone(&self, arguments: &str) -> Said {
        self.hone_with(arguments, self.dir.path())
    }

    /// Call `hone` with data from this folder.
    pub fn hone_with(&self, arguments: &str, data: &Path) -> Said {
        self.hone_in(arguments, &[("HONE_DATA", &data.display().to_string())])
    }

    /// Call `hone` with these variables in its environment, and none of those that name models and keys.
    pub fn hone_in(&self, arguments: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = Command::cargo_bin("hone").unwrap();
        for name in [
            "HONE_API_KEY",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
        ] {
            command.env_remove(name);
        }
        let output = command
            .args(arguments.split(' '))
            .current_dir(self.dir.path())
            .env("HONE_DATA", self.dir.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Said {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Call `hone`, which must succeed.
    pub fn ok(&self, arguments: &str) -> Said {
        let said = self.hone(arguments);
        assert_eq!(said.status, 0, "{arguments}: {}", said.stderr);
        said
    }

    /// Call `hone`, which must fail with this exit status and say all of this.
    pub fn fails(&self, arguments: &str, status: i32, words: &[&str]) {
        let said = self.hone(arguments);
        assert_eq!(said.status, status, "{arguments}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{arguments}");
        for word in words {
            assert!(
                said.stderr.contains(word),
                "{arguments}: no {word:?} in {}",
                said.stderr
            );
        }
    }

    /// The names in the folder, in order.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn digest(&self, run: &str) -> String {
        self.ok(&format!("trace digest {run}")).stdout.trim().to_owned()
    }
}

impl Said {
    /// Stdout as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// Stdout as JSON Lines.
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// A tiny random model in Hugging Face layout.
pub fn make_model(dir: &Path, seed: u64) {
    let codec = hone_model::train_tokenizer(hone_primer::tokenizer_texts(), 1024).unwrap();
    let config = Config {
        vocab_size: codec.vocab_size(),
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 8,
        intermediate_size: 24,
        rope_theta: 10_000.0,
        rms_norm_eps: 1e-6,
        max_position_embeddings: 384,
        model_type: Architecture::Qwen2,
        tie_word_embeddings: true,
        rope_scaling: None,
    };
    checkpoint::save(dir, &Weights::random(config, &Stream::new(seed)).unwrap()).unwrap();
    codec.save(dir).unwrap();
}

/// A tiny random model of Llama's architecture as others publish theirs: with a chat template of its own.
pub fn make_published_model(dir: &Path, seed: u64) {
    make_model(dir, seed);
    let config = Config {
        model_type: Architecture::Llama,
        tie_word_embeddings: false,
        max_position_embeddings: 4096,
        ..checkpoint::load(dir).unwrap().config
    };
    checkpoint::save(dir, &Weights::random(config, &Stream::new(seed)).unwrap()).unwrap();
    let template = "{% for m in messages %}<|{{ 'agent' if m.role == 'assistant' else m.role }}|>{{ m.content }}<|end|>\n\
        {% endfor %}{% if add_generation_prompt %}<|agent|>{% endif %}";
    let text = serde_json::json!({"eos_token": "<|end|>", "chat_template": template}).to_string();
    std::fs::write(dir.join("tokenizer_config.json"), text).unwrap();
}

/// The folder of public data, if this machine has the suite; else says how to get it.
pub fn data_with(suite: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("HONE_DATA").map_or(beside, PathBuf::from);
    let found = folder.join(suite).is_dir();
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "{} is missing",
            folder.join(suite).display()
        );
        eprintln!("skipped: no data suite {suite}; get it with `hone data get {suite}` and set HONE_DATA");
    }
    found.then_some(folder)
}
