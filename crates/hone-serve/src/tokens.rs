//! Models and their tokens: `/v1/models`, `/tokenize`, `/detokenize`.

use crate::error::Refusal;
use crate::{Shared, ask, chat};
use serde_json::{Value, json};

pub(crate) fn model(shared: &Shared) -> Value {
    json!({
        "id": shared.options.name, "object": "model", "created": shared.started, "owned_by": "hone",
        "max_model_len": shared.sampler.context(),
    })
}

pub(crate) fn models(shared: &Shared) -> Value {
    json!({"object": "list", "data": [model(shared)]})
}

/// The ids of a `prompt`, in which nothing is a special token, or of `messages` as the model reads them.
pub(crate) fn tokenize(shared: &Shared, body: &Value) -> Result<Value, Refusal> {
    let ids = match ask::text(body, "prompt")? {
        Some(prompt) => shared.sampler.codec().ids_of(prompt)?,
        None => chat::prompt(shared, body)?,
    };
    Ok(json!({"count": ids.len(), "max_model_len": shared.sampler.context(), "tokens": ids}))
}

pub(crate) fn detokenize(shared: &Shared, body: &Value) -> Result<Value, Refusal> {
    let ids = body.get("tokens").and_then(ask::ids);
    let ids = ids.ok_or_else(|| Refusal::field("tokens", "tokens is not a list of token ids"))?;
    Ok(json!({"prompt": shared.sampler.codec().text_of(&ids)}))
}
