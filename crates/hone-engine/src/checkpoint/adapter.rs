//! Adapters in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.

use super::tensors::{Target, pack, write_tensors};
use super::{CheckpointError, MAX_CONFIG_BYTES, MAX_WEIGHT_BYTES, content, read, write};
use crate::lora::{Adapter, Lora, LoraTarget};
use crate::weights::Weights;
use serde_json::{Value, json};
use std::path::Path;

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// Whether a directory holds an adapter.
pub(super) fn is_in(dir: &Path) -> bool {
    dir.join(CONFIG).is_file()
}

/// Write an adapter.
pub(super) fn save(dir: &Path, adapter: &Adapter) -> Result<(), CheckpointError> {
    let text = format!("{:#}\n", config(&adapter.settings));
    write(&dir.join(CONFIG), text.as_bytes())?;
    write_tensors(&dir.join(TENSORS), &pack("", &adapter.tensors, adapter.params()))
}

/// Read a directory's adapter onto its base.
pub(super) fn load(dir: &Path, base: &Weights) -> Result<Weights, CheckpointError> {
    let path = dir.join(CONFIG);
    let raw: Value =
        serde_json::from_slice(&read(&path, MAX_CONFIG_BYTES)?).map_err(|e| content(&path, e.to_string()))?;
    let settings = settings(&raw).map_err(|what| content(&path, what))?;
    let path = dir.join(TENSORS);
    let tensors = Adapter::layout(&base.config, &settings);
    let len = tensors.last().map_or(0, |tensor| tensor.range.end);
    let mut target = Target::new(std::slice::from_ref(&path), "", &tensors, len)?;
    target.fill(&path, &read(&path, MAX_WEIGHT_BYTES)?, |_| false)?;
    let adapter = Adapter::from_params(&base.config, &settings, target.finish(&path)?);
    let adapter = adapter.ok_or_else(|| content(&path, "it belongs to another model"))?;
    Ok(base.with_adapter(adapter))
}

fn config(lora: &Lora) -> Value {
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": null,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": lora.targets.iter().map(|target| target.name()).collect::<Vec<_>>(),
        "bias": "none",
        "fan_in_fan_out": false,
        "use_rslora": false,
        "use_dora": false,
        "inference_mode": true,
    })
}

/// The settings in a file's JSON. What this engine would compute otherwise than the file says is refused.
fn settings(raw: &Value) -> Result<Lora, String> {
    if raw["peft_type"] != "LORA" {
        return Err(format!("peft_type is {}; this version reads LORA", raw["peft_type"]));
    }
    let empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::String(text) => text == "none",
        _ => false,
    };
    for key in [
        "bias",
        "fan_in_fan_out",
        "use_rslora",
        "use_dora",
        "use_qalora",
        "modules_to_save",
        "rank_pattern",
        "alpha_pattern",
        "layers_to_transform",
        "layer_replication",
        "exclude_modules",
        "target_parameters",
        "trainable_token_indices",
        "lora_bias",
        "alora_invocation_tokens",
    ] {
        if !empty(&raw[key]) {
            return Err(format!("{key} is {}; this version reads adapters without it", raw[key]));
        }
    }
    let known = |name: &str| LoraTarget::ALL.into_iter().find(|target| target.name() == name);
    let targets = match &raw["target_modules"] {
        Value::String(text) if text == "all-linear" => LoraTarget::ALL.to_vec(),
        Value::Array(names) => {
            let found = names.iter().map(|name| {
                known(name.as_str().unwrap_or_default())
                    .ok_or_else(|| format!("target_modules names {name}; this version adapts q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj and down_proj"))
            });
            let mut found = found.collect::<Result<Vec<_>, _>>()?;
            // PEFT writes a set; the order decides nothing.
            found.sort_unstable();
            found
        }
        other => return Err(format!("target_modules is {other}; this version reads a list of names")),
    };
    let number = |key: &str, default: Option<f64>| {
        let value = &raw[key];
        let found = value.as_f64().or(default.filter(|_| value.is_null()));
        found.ok_or_else(|| format!("{key} is {value}, which is not a number"))
    };
    let rank = raw["r"].as_u64().and_then(|r| usize::try_from(r).ok());
    let settings = Lora {
        rank: rank.ok_or_else(|| format!("r is {}, which is not a whole number", raw["r"]))?,
        alpha: number("lora_alpha", None)? as f32,
        dropout: number("lora_dropout", Some(0.0))? as f32,
        targets,
    };
    settings
        .validate()
        .map_err(|(key, got, allowed)| format!("{key} is {got}. Allowed: {allowed}"))?;
    Ok(settings)
}
