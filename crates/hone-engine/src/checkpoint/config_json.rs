//! `config.json`: Hugging Face's keys, read and written.

use crate::config::{Architecture, Config, RopeScaling};
use serde_json::{Value, json};

/// The rotary base that `transformers` takes where the file names none.
const DEFAULT_THETA: f64 = 10_000.0;

/// The configuration in a file's JSON. What this engine would compute otherwise than the file says is refused.
///
/// # Errors
/// Names the key and what this version reads.
pub(super) fn read(raw: &Value) -> Result<Config, String> {
    let given = |key: &str| raw.get(key).filter(|value| !value.is_null());
    let whole = |key: &str| match given(key) {
        None => Ok(None),
        Some(value) => {
            let n = value.as_u64().and_then(|n| usize::try_from(n).ok());
            n.map(Some)
                .ok_or_else(|| format!("key {key} is {value}, which is not a whole number"))
        }
    };
    let number = |key: &str| whole(key)?.ok_or_else(|| format!("key {key} is missing"));
    let flag = |key: &str| match given(key) {
        None => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| format!("key {key} is {value}, which is neither true nor false")),
    };

    let kind = raw["model_type"].as_str().unwrap_or_default();
    let Some(model_type) = Architecture::ALL.into_iter().find(|a| a.name() == kind) else {
        let known = Architecture::ALL.map(Architecture::name).join(", ");
        return Err(format!(
            "model_type is {}; this version reads {known}",
            raw["model_type"]
        ));
    };
    if let Some(act) = given("hidden_act").filter(|act| act.as_str() != Some("silu")) {
        return Err(format!("hidden_act is {act}; this version computes silu"));
    }
    for key in ["attention_bias", "mlp_bias"] {
        // Qwen2 has its bias whatever such a key says.
        if model_type != Architecture::Qwen2 && flag(key)? {
            return Err(format!("{key} is true; this version reads {kind} without it"));
        }
    }
    let kinds = given("layer_types").and_then(Value::as_array);
    if flag("use_sliding_window")? || kinds.is_some_and(|all| all.iter().any(|kind| kind != "full_attention")) {
        return Err("some layers attend to a sliding window; this version attends to the whole sequence".into());
    }
    if let Some(method) = given("quantization_config") {
        let method = &method["quant_method"];
        return Err(format!(
            "the weights are quantised ({method}); take the model's unquantised files, or a GGUF file of it"
        ));
    }
    let (hidden_size, num_attention_heads) = (number("hidden_size")?, number("num_attention_heads")?);
    let theta = match [&raw["rope_parameters"]["rope_theta"], &raw["rope_theta"]]
        .into_iter()
        .find(|v| !v.is_null())
    {
        None => DEFAULT_THETA,
        Some(theta) => theta
            .as_f64()
            .ok_or_else(|| format!("key rope_theta is {theta}, which is not a number"))?,
    };
    Ok(Config {
        model_type,
        vocab_size: number("vocab_size")?,
        hidden_size,
        num_hidden_layers: number("num_hidden_layers")?,
        num_attention_heads,
        num_key_value_heads: whole("num_key_value_heads")?.unwrap_or(num_attention_heads),
        head_dim: whole("head_dim")?.unwrap_or(hidden_size / num_attention_heads.max(1)),
        intermediate_size: number("intermediate_size")?,
        rope_theta: theta as f32,
        rms_norm_eps: raw["rms_norm_eps"]
            .as_f64()
            .ok_or("key rms_norm_eps is missing or not a number")? as f32,
        max_position_embeddings: number("max_position_embeddings")?,
        tie_word_embeddings: flag("tie_word_embeddings")?,
        rope_scaling: rope_scaling(raw)?,
    })
}

fn rope_scaling(raw: &Value) -> Result<Option<RopeScaling>, String> {
    for key in ["rope_scaling", "rope_parameters"] {
        let scaling = &raw[key];
        // Older files call it `type`.
        let kind = [&scaling["rope_type"], &scaling["type"]]
            .into_iter()
            .find(|kind| !kind.is_null());
        let number = |name: &str| {
            let value = &scaling[name];
            let value = value
                .as_f64()
                .ok_or_else(|| format!("{key}: key {name} is {value}, which is not a number"));
            value.map(|x| x as f32)
        };
        match kind.map(|kind| kind.as_str().unwrap_or_default()) {
            None | Some("default") => {}
            Some("linear") => {
                return Ok(Some(RopeScaling::Linear {
                    factor: number("factor")?,
                }));
            }
            Some("llama3") => {
                return Ok(Some(RopeScaling::Llama3 {
                    factor: number("factor")?,
                    low_freq_factor: number("low_freq_factor")?,
                    high_freq_factor: number("high_freq_factor")?,
                    original_max_position_embeddings: number("original_max_position_embeddings")? as usize,
                }));
            }
            Some(_) => {
                let kind = kind.unwrap_or(&Value::Null);
                return Err(format!(
                    "{key} is of type {kind}; this version reads default, linear and llama3"
                ));
            }
        }
    }
    Ok(None)
}

/// The file's JSON for a configuration.
pub(super) fn write(config: &Config) -> Value {
    let mut out = json!(config);
    out["model_type"] = json!(config.model_type);
    out["architectures"] = json!([config.model_type.class()]);
    out["hidden_act"] = json!("silu");
    out["tie_word_embeddings"] = json!(config.tie_word_embeddings);
    out["torch_dtype"] = json!("float32");
    if config.model_type == Architecture::Qwen2 {
        out["use_sliding_window"] = json!(false);
    } else {
        out["attention_bias"] = json!(false);
    }
    out
}
