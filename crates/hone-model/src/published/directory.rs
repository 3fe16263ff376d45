//! The files of a directory in Hugging Face layout.

use super::{PublishedCodec, Source};
use crate::CodecError;
use crate::codec::MAX_FILE;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// What a published model's directory says of its text.
pub(super) fn read(dir: &Path) -> Result<Source<'_>, CodecError> {
    let wrong = |what: String| CodecError::Published { path: dir.into(), what };
    let tokenizer = Tokenizer::from_bytes(bytes(dir.join("tokenizer.json"))?)
        .map_err(|error| wrong(format!("tokenizer.json is not usable: {error}")))?;
    let optional = |name: &str| -> Result<Value, CodecError> {
        let path = dir.join(name);
        if !path.exists() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes(path)?).map_err(|error| wrong(format!("{name} is not JSON: {error}")))
    };
    let config = optional("tokenizer_config.json")?;
    let apart = dir.join("chat_template.jinja");
    let template = if apart.exists() {
        String::from_utf8(bytes(apart)?).map_err(|_| wrong("chat_template.jinja is not UTF-8".into()))?
    } else {
        in_config(&config["chat_template"])
            .ok_or_else(|| wrong("there is no chat template: neither chat_template.jinja nor one in tokenizer_config.json; add the model's own".into()))?
    };
    // A text, or an object with its text.
    let token = |key: &str| {
        [&config[key], &config[key]["content"]]
            .into_iter()
            .find_map(Value::as_str)
    };
    let mut ends = Vec::new();
    ends.extend(token("eos_token").and_then(|text| tokenizer.token_to_id(text)));
    for file in ["generation_config.json", "config.json"] {
        let ids = &optional(file)?["eos_token_id"];
        let several = ids.as_array().map_or(std::slice::from_ref(ids), Vec::as_slice);
        let ids = several.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok());
        ends.extend(ids.filter(|id| tokenizer.id_to_token(*id).is_some()));
    }
    let mut seen = std::collections::BTreeSet::new();
    ends.retain(|id| seen.insert(*id));
    Ok(Source {
        path: dir,
        bos: token("bos_token").unwrap_or_default().to_owned(),
        calls: config["hone_call_format"].as_str().map(str::to_owned),
        tokenizer,
        template,
        ends,
    })
}

/// Write what [`read`] reads, and `transformers` too.
pub(super) fn write(codec: &PublishedCodec, dir: &Path) -> Result<(), CodecError> {
    let io = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| CodecError::Io { action, path, source }
    };
    std::fs::create_dir_all(dir).map_err(io("made", dir))?;
    let put = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(io("written", &path))
    };
    let tokenizer = codec
        .tokenizer
        .to_string(false)
        .map_err(|error| CodecError::Published {
            path: dir.into(),
            what: error.to_string(),
        })?;
    put("tokenizer.json", tokenizer)?;
    let first = codec.ends.first().and_then(|id| codec.tokenizer.id_to_token(*id));
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
        "eos_token": first,
        "chat_template": codec.source,
        "hone_call_format": codec.calls.name,
    });
    if !codec.bos.is_empty() {
        config["bos_token"] = json!(codec.bos);
    }
    put("tokenizer_config.json", format!("{config:#}\n"))?;
    put(
        "generation_config.json",
        format!("{:#}\n", json!({"eos_token_id": codec.ends})),
    )
}

/// A template, or the one called `default` of several.
fn in_config(template: &Value) -> Option<String> {
    let named = |all: &Vec<Value>| {
        let default = all.iter().find(|one| one["name"] == "default").or(all.first());
        default.and_then(|one| one["template"].as_str().map(str::to_owned))
    };
    template
        .as_str()
        .map(str::to_owned)
        .or_else(|| template.as_array().and_then(named))
}

fn bytes(path: PathBuf) -> Result<Vec<u8>, CodecError> {
    let io = |source| CodecError::Io {
        action: "read",
        path: path.clone(),
        source,
    };
    let len = std::fs::metadata(&path).map_err(io)?.len();
    if len > MAX_FILE {
        return Err(CodecError::Published {
            what: format!("it has {len} bytes; at most {MAX_FILE} are read"),
            path,
        });
    }
    std::fs::read(&path).map_err(io)
}
