//! What stays the same when a run is repeated: a hash over everything but the wall clock.
//!
//! The wall-clock fields are `timing` of the episode, of each model call and of each tool call, and what an endpoint says
//! of its answer (`remote.served` of a model call), and no others; a field of those names inside a tool's arguments or
//! results is data. A tool call's `replayed` counts as `false`, so that a replay is equal to what it replays. Everything else is hashed in a canonical form: object
//! keys in order, each value with a tag and a length, floats by their bits. Fields that are left out when empty are left
//! out here too, so that a later schema's new field does not change the digest of old records.

use std::borrow::Borrow;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Episode, Timing};

impl Episode {
    /// SHA-256 in hex over everything but the wall-clock fields.
    pub fn digest(&self) -> String {
        let mut tree = serde_json::to_value(self).expect("a record has only string keys");
        drop_timing(&mut tree);
        for calls in ["model_calls", "tool_calls"] {
            for call in tree[calls].as_array_mut().into_iter().flatten() {
                drop_timing(call);
            }
        }
        // Whether a result came from a recording says how it was had, not what it was.
        for call in tree["tool_calls"].as_array_mut().into_iter().flatten() {
            if let Some(replayed) = call.get_mut("replayed") {
                *replayed = Value::Bool(false);
            }
        }
        for call in tree["model_calls"].as_array_mut().into_iter().flatten() {
            if let Some(remote) = call.get_mut("remote").and_then(Value::as_object_mut) {
                remote.remove("served");
            }
        }
        let mut hash = Sha256::new();
        hash.update(b"hone/episode/1");
        feed(&mut hash, &tree);
        hex(&hash.finalize())
    }

    /// Sets the wall-clock fields to zero: what the digest leaves out.
    pub fn clear_timing(&mut self) {
        self.timing = Timing::default();
        for call in &mut self.model_calls {
            call.timing = Timing::default();
            if let Some(remote) = &mut call.remote {
                remote.served = Default::default();
            }
        }
        self.tool_calls
            .iter_mut()
            .for_each(|call| call.timing = Timing::default());
    }
}

/// Digest of a whole run, episode by episode. The order of adding does not matter.
#[derive(Clone, Debug, Default)]
pub struct RunDigest {
    episodes: Vec<(String, String)>,
}

impl RunDigest {
    /// Adds an episode.
    pub fn add(&mut self, episode: &Episode) {
        self.episodes.push((episode.id.clone(), episode.digest()));
    }

    /// SHA-256 in hex over the episodes' digests, ordered by id.
    pub fn finish(mut self) -> String {
        self.episodes.sort();
        let mut hash = Sha256::new();
        hash.update(b"hone/run/1");
        for (id, digest) in &self.episodes {
            hash.update((id.len() as u64).to_le_bytes());
            hash.update(id);
            hash.update(digest);
        }
        hex(&hash.finalize())
    }
}

/// Digest of these episodes, in whatever order they come.
pub fn run_digest<E: Borrow<Episode>>(episodes: impl IntoIterator<Item = E>) -> String {
    let mut digest = RunDigest::default();
    episodes.into_iter().for_each(|episode| digest.add(episode.borrow()));
    digest.finish()
}

fn drop_timing(tree: &mut Value) {
    if let Some(object) = tree.as_object_mut() {
        object.remove("timing");
    }
}

fn feed(hash: &mut Sha256, value: &Value) {
    let mut tagged = |tag: u8, bytes: &[u8]| {
        hash.update([tag]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    match value {
        Value::Null => tagged(b'0', &[]),
        Value::Bool(truth) => tagged(b'b', &[u8::from(*truth)]),
        Value::String(text) => tagged(b's', text.as_bytes()),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => tagged(b'u', &number.to_le_bytes()),
            (_, Some(number), _) => tagged(b'i', &number.to_le_bytes()),
            (_, _, float) => tagged(b'f', &float.unwrap_or(f64::NAN).to_bits().to_le_bytes()),
        },
        Value::Array(items) => {
            tagged(b'[', &(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| feed(hash, item));
        }
        Value::Object(fields) => {
            tagged(b'{', &(fields.len() as u64).to_le_bytes());
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            for (name, field) in fields {
                feed(hash, &Value::String(name.clone()));
                feed(hash, field);
            }
        }
    }
}

/// SHA-256 in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stream, Turn, sample};

    /// Every leaf of the tree with its path.
    fn leaves(tree: &Value, path: String, found: &mut Vec<String>) {
        match tree {
            Value::Object(fields) if !fields.is_empty() => {
                fields
                    .iter()
                    .for_each(|(name, field)| leaves(field, format!("{path}/{name}"), found));
            }
            Value::Array(items) if !items.is_empty() => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| leaves(item, format!("{path}/{index}"), found));
            }
            _ => found.push(path),
        }
    }

    /// Other values of the same JSON type; the first that the record's type accepts is taken.
    fn others(leaf: &Value) -> Vec<Value> {
        match leaf {
            Value::Null => vec![Value::from("x"), Value::from(1), Value::from(0.5)],
            Value::Bool(truth) => vec![Value::from(!truth)],
            Value::String(_) => {
                let names = [
                    "x",
                    "main",
                    "forced",
                    "sampled",
                    "stop",
                    "length",
                    "not_reached",
                    "timeout",
                ];
                let more = ["max_turns", "policy_failed", "ok", "user", "system"];
                let names = names.into_iter().chain(more).map(Value::from);
                names.chain([serde_json::json!({"side": "x"})]).collect()
            }
            Value::Number(number) => match (number.as_u64(), number.as_f64()) {
                (Some(number), _) => vec![Value::from(number ^ 1)],
                // The smallest change there is, of a 32-bit and of a 64-bit float.
                (_, Some(float)) => vec![
                    Value::from(f64::from_bits(float.to_bits() ^ 1)),
                    Value::from(f64::from(f32::from_bits((float as f32).to_bits() ^ 1))),
                ],
                _ => vec![],
            },
            Value::Array(_) => vec![
                serde_json::json!([0.25]),
                serde_json::json!([1]),
                serde_json::json!(["x"]),
                serde_json::json!([{"name": "x", "value": 1.0}]),
            ],
            Value::Object(_) => vec![serde_json::json!({"x": 1})],
        }
    }

    #[test]
    fn any_change_but_the_clock_shows() {
        let record = sample::episode(&Stream::new(3), "rl/1/0/0", 3);
        let digest = record.digest();
        let tree = serde_json::to_value(&record).unwrap();
        let mut paths = Vec::new();
        leaves(&tree, String::new(), &mut paths);
        let clock = |path: &str| {
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            parts[0] == "timing"
                || (parts[0].ends_with("_calls") && parts[2] == "timing")
                || (parts[0] == "tool_calls" && parts[2] == "replayed")
        };
        let (mut changed, mut same) = (0, 0);
        for path in &paths {
            let mut seen = false;
            for other in others(tree.pointer(path).unwrap()) {
                let mut mutant = tree.clone();
                *mutant.pointer_mut(path).unwrap() = other;
                let Ok(mutant) = serde_json::from_value::<Episode>(mutant) else {
                    continue;
                };
                if mutant == record {
                    continue;
                }
                seen = true;
                assert_eq!(mutant.digest() == digest, clock(path), "at {path}");
                if clock(path) {
                    same += 1;
                } else {
                    changed += 1;
                }
            }
            // A turn's role cannot change without its fields; the roles have their own test.
            assert!(
                seen || path.starts_with("/turns/"),
                "no mutation of {path} was possible"
            );
        }
        let replayable = record.tool_calls.len();
        assert!(changed > 400 && same == 12 + replayable, "{changed} {same}");
    }

    #[test]
    fn the_sign_of_zero_and_the_kind_of_number_show() {
        let mut record = sample::episode(&Stream::new(3), "rl/1/0/0", 1);
        let mut digest_with = |reward: f64, detail: Value| {
            record.reward = Some(reward);
            record.events[0].detail = detail;
            record.digest()
        };
        let digests = [
            digest_with(0.0, Value::from(1)),
            digest_with(-0.0, Value::from(1)),
            digest_with(0.0, Value::from(1.0)),
            digest_with(0.0, Value::from("1")),
        ];
        let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }

    #[test]
    fn the_role_of_a_turn_shows() {
        let mut record = sample::episode(&Stream::new(3), "rl/1/0/0", 2);
        let digest = record.digest();
        let Turn::System { text } = record.turns[0].clone() else {
            panic!("begins with the system")
        };
        record.turns[0] = Turn::User { text };
        assert_ne!(record.digest(), digest);
    }

    #[test]
    fn key_order_does_not_matter() {
        let mut record = sample::episode(&Stream::new(3), "rl/1/0/0", 1);
        record.events[0].detail = serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap();
        let digest = record.digest();
        record.events[0].detail = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        assert_eq!(record.digest(), digest);
    }

    #[test]
    fn a_run_does_not_depend_on_order_but_on_content() {
        let stream = Stream::new(5);
        let mut run: Vec<Episode> = (0..4)
            .map(|i| sample::episode(&stream, &format!("eval/{i}/0"), 2))
            .collect();
        let digest = run_digest(&run);
        run.reverse();
        run[1].clear_timing();
        assert_eq!(run_digest(&run), digest);
        run.pop();
        assert_ne!(run_digest(&run), digest);
    }
}
