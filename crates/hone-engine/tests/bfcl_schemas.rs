//! Every function of BFCL's single-turn data, called by a model that knows nothing: each answer ends within its bound and
//! fits. With `HONE_ALL` set all functions are tried, else one in 25.
#![cfg(feature = "constrain")]

use hone_bfcl::{Suite, tools};
use hone_engine::{Architecture, Config, Sampler, Weights};
use hone_model::{AgentTurn, Codec, Conversation, Message, Model, Request, train_tokenizer};
use hone_tool::{ToolSpec, Toolset};
use hone_trace::{Constraint, FinishReason, SamplingSettings, Stream};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Functions of the suite that no call can fit: a required argument has a type that none of its listed values is of
/// (texts for an integer, for a list).
const HOLD_NO_VALUE: [&str; 2] = ["Events_3_BuyEventTickets", "extract_parameters_v1"];

/// Tokens of an answer. The longest function alone takes some four hundred in this tokenizer.
const MAX_TOKENS: u32 = 768;

#[test]
fn calls_of_all_functions_fit_their_schemas_and_end() {
    let Some(data) = std::env::var_os("HONE_DATA") else {
        eprintln!("skipped: set HONE_DATA to the folder that holds the public data");
        return;
    };
    let suite = Suite::load(Path::new(&data)).unwrap();
    let mut functions: BTreeMap<String, ToolSpec> = BTreeMap::new();
    for tool in suite.records().flat_map(tools) {
        let tool = serde_json::to_value(tool).unwrap();
        let spec = ToolSpec {
            name: tool["function"]["name"].as_str().unwrap_or("unnamed").into(),
            description: String::new(),
            input_schema: tool["function"]["parameters"].clone(),
            annotations: Default::default(),
            version: String::new(),
            unchecked: false,
        };
        functions.insert(format!("{} {}", spec.name, spec.input_schema), spec);
    }
    let texts: Vec<String> = functions.keys().take(400).cloned().collect();
    let codec: Arc<Codec> = Arc::new(train_tokenizer(texts, 2048).unwrap());
    let config = Config {
        vocab_size: codec.vocab_size(),
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 8,
        intermediate_size: 16,
        rope_theta: 10_000.0,
        rms_norm_eps: 1e-6,
        max_position_embeddings: 1024,
        model_type: Architecture::Llama,
        tie_word_embeddings: true,
        rope_scaling: None,
    };
    let weights = Arc::new(Weights::random(config, &Stream::new(5)).unwrap());
    let sampler = Sampler::new("random", codec, weights, 0, 2);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let step = if std::env::var_os("HONE_ALL").is_some() { 1 } else { 25 };
    let (mut tried, mut wrong) = (0, Vec::new());
    for (seed, (key, spec)) in functions.iter().enumerate().step_by(step) {
        let set = match Toolset::compile(std::slice::from_ref(spec)) {
            Ok(set) => Arc::new(set),
            // No validator can say what fits it.
            Err(error) => {
                eprintln!("no schema: {key}: {error}");
                continue;
            }
        };
        let mut conversation = Conversation {
            messages: vec![Message::User("go".into())],
            ..Conversation::default()
        };
        let request = Request {
            sampling: SamplingSettings {
                max_tokens: MAX_TOKENS,
                constraint: Some(Constraint::Calls),
                ..SamplingSettings::default()
            },
            stream: Stream::new(seed as u64),
            call_id: 0,
            tools: set.clone(),
            on_token: None,
        };
        tried += 1;
        let done = match runtime.block_on(sampler.complete(&mut conversation, request)) {
            Ok(done) => done,
            Err(error) if HOLD_NO_VALUE.contains(&spec.name.as_str()) => {
                eprintln!("no value: {key}: {error}");
                continue;
            }
            Err(error) => {
                wrong.push(format!("{key}: {error}"));
                continue;
            }
        };
        let fits = done.call.finish == FinishReason::Stop
            && matches!(&done.turn, AgentTurn::Calls { calls, .. } if calls.iter().all(|call| set.check(&call.name, &call.arguments).is_ok()));
        if !fits {
            wrong.push(format!("{key}: {:?} {}", done.call.finish, done.call.text));
        }
    }
    let stats = sampler.stats();
    eprintln!(
        "{tried} functions, {} tokens, {:.0} µs a mask, {:.0} µs waited, {} forced",
        stats.sampled,
        stats.mask_us as f64 / stats.masks.max(1) as f64,
        stats.mask_wait_us as f64 / stats.masks.max(1) as f64,
        stats.forced,
    );
    assert!(
        tried > 20 && wrong.is_empty(),
        "{} of {tried}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
