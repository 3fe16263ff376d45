//! `/v1/completions`.

use crate::ask::{self, Asked};
use crate::body::{Answer, Events, Gone};
use crate::error::Refusal;
use crate::sample::{self, Answers, Order, Step, Text};
use crate::{Shared, http};
use hone_engine::Generation;
use hone_tool::Toolset;
use hone_trace::TokenId;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// Most prompts of a request.
const MAX_PROMPTS: usize = 64;

pub(crate) async fn answer(shared: &Arc<Shared>, body: &Value, hang_up: Arc<Notify>) -> Result<Answer, Refusal> {
    let mut asked = Asked::read(shared, body, &["max_tokens"])?;
    let logprobs = body
        .get("logprobs")
        .filter(|n| !n.is_null())
        .map(|_| ask::top(body, "logprobs"))
        .transpose()?;
    asked.settings.top_logprobs = logprobs.unwrap_or(0);
    let prompts = prompts(shared, body)?;
    let order = |prompt: &Vec<TokenId>, at: usize, tools: Arc<Toolset>| Order {
        prompt: prompt.clone(),
        settings: asked.settings.clone(),
        tools,
        seed: asked.seed.wrapping_add(at as u64),
        n: asked.n,
    };
    let tools = Toolset::compile(&[]).map_err(|error| Refusal::request(error.to_string()))?;
    let tools = Arc::new(tools);
    if asked.stream {
        let [prompt] = &prompts[..] else {
            return Err(Refusal::field(
                "prompt",
                "only one prompt can be streamed; send one request for each",
            ));
        };
        let answers = Answers::start(shared, order(prompt, 0, tools)).await?;
        let (events, body) = Events::new(hang_up, shared.options.patience);
        let told = Told {
            shared: shared.clone(),
            logprobs,
            prompt: prompt.len(),
            asked,
            events,
        };
        tokio::spawn(async move {
            let shared = told.shared.clone();
            if told.tell(answers).await.is_err() {
                shared.metrics.left.fetch_add(1, Ordering::Relaxed);
            }
        });
        return Ok(http::events(body));
    }
    let (mut choices, mut sampled) = (Vec::new(), 0);
    for (at, prompt) in prompts.iter().enumerate() {
        let answers = Answers::start(shared, order(prompt, at, tools.clone())).await?;
        for generation in answers.all(asked.n).await? {
            sampled += generation.ids.len();
            choices.push(choice(shared, &asked, choices.len(), &generation, logprobs));
        }
    }
    let mut value = json!({
        "id": sample::id("cmpl", shared), "object": "text_completion", "created": sample::now(), "model": shared.options.name,
        "choices": choices, "usage": sample::usage(prompts.iter().map(Vec::len).sum(), sampled),
    });
    if asked.token_ids {
        value["prompt_token_ids"] = json!(prompts);
    }
    Ok(http::json(&value))
}

fn choice(shared: &Shared, asked: &Asked, index: usize, generation: &Generation, logprobs: Option<u32>) -> Value {
    let ends = shared.sampler.codec().ends();
    let said = || generation.ids.iter().enumerate().filter(|(_, id)| !ends.contains(id));
    let mut text = Text::new(&asked.settings.stop);
    let mut whole = String::new();
    let mut offsets = Vec::new();
    for (_, id) in said() {
        offsets.push(whole.chars().count());
        whole += &text.push(shared.vocabulary.bytes(*id));
    }
    whole += &text.rest();
    let mut value = json!({"index": index, "text": whole, "logprobs": null, "finish_reason": sample::finish(generation.finish, false)});
    if logprobs.is_some() {
        let token = |id: TokenId| String::from_utf8_lossy(shared.vocabulary.bytes(id)).into_owned();
        let tops = said().map(|(at, _)| {
            let top = generation.top_logprobs.get(at).map_or(&[][..], Vec::as_slice);
            Value::Object(
                top.iter()
                    .map(|top| (token(top.id), json!(top.logprob)))
                    .collect::<Map<_, _>>(),
            )
        });
        value["logprobs"] = json!({
            "tokens": said().map(|(_, id)| token(*id)).collect::<Vec<_>>(),
            "token_logprobs": said().map(|(at, _)| generation.logprobs[at]).collect::<Vec<_>>(),
            "top_logprobs": tops.collect::<Vec<_>>(),
            "text_offset": offsets,
        });
    }
    if asked.token_ids {
        value["token_ids"] = json!(generation.ids);
    }
    value
}

struct Told {
    shared: Arc<Shared>,
    asked: Asked,
    logprobs: Option<u32>,
    prompt: usize,
    events: Events,
}

impl Told {
    async fn tell(self, mut answers: Answers) -> Result<(), Gone> {
        let shared = &self.shared;
        let (id, created) = (sample::id("cmpl", shared), sample::now());
        let chunk = |choices: Value| json!({"id": id, "object": "text_completion", "created": created, "model": shared.options.name, "choices": choices});
        let mut texts: Vec<Text> = (0..self.asked.n)
            .map(|_| Text::new(&self.asked.settings.stop))
            .collect();
        let mut sampled = 0;
        let codec = shared.sampler.codec();
        loop {
            let step = tokio::select! {
                step = answers.next() => step,
                () = self.events.closed() => return Err(Gone),
            };
            let choice = match step {
                Ok(None) => break,
                Err(refusal) => {
                    self.events.send(&refusal.json()).await?;
                    return self.events.done().await;
                }
                Ok(Some(Step::Token(index, token))) => {
                    sampled += 1;
                    let Some(text) = texts.get_mut(index).filter(|_| !codec.ends().contains(&token.id)) else {
                        continue;
                    };
                    let text = text.push(shared.vocabulary.bytes(token.id));
                    if text.is_empty() && self.logprobs.is_none() && !self.asked.token_ids {
                        continue;
                    }
                    let mut choice = json!({"index": index, "text": text, "logprobs": null, "finish_reason": null});
                    if self.logprobs.is_some() {
                        let name = |id: TokenId| String::from_utf8_lossy(shared.vocabulary.bytes(id)).into_owned();
                        let top: Map<String, Value> =
                            token.top.iter().map(|top| (name(top.id), json!(top.logprob))).collect();
                        choice["logprobs"] = json!({"tokens": [name(token.id)], "token_logprobs": [token.logprob], "top_logprobs": [top]});
                    }
                    if self.asked.token_ids {
                        choice["token_ids"] = json!([token.id]);
                    }
                    choice
                }
                Ok(Some(Step::Done(index, generation))) => {
                    let rest = texts.get_mut(index).map(Text::rest).unwrap_or_default();
                    json!({"index": index, "text": rest, "logprobs": null, "finish_reason": sample::finish(generation.finish, false)})
                }
            };
            self.events.send(&chunk(json!([choice]))).await?;
        }
        if self.asked.include_usage {
            let mut last = chunk(json!([]));
            last["usage"] = sample::usage(self.prompt, sampled);
            self.events.send(&last).await?;
        }
        self.events.done().await
    }
}

/// A text, ids, or a list of either.
fn prompts(shared: &Shared, body: &Value) -> Result<Vec<Vec<TokenId>>, Refusal> {
    let wrong = || {
        Refusal::field(
            "prompt",
            format!("prompt is neither a text, a list of token ids, nor a list of at most {MAX_PROMPTS} of these"),
        )
    };
    let one = |value: &Value| -> Result<Vec<TokenId>, Refusal> {
        match value {
            Value::String(text) => Ok(shared.sampler.codec().ids_of(text)?),
            ids => ask::ids(ids).ok_or_else(wrong),
        }
    };
    match body.get("prompt") {
        Some(Value::Array(all)) if all.first().is_some_and(|first| !first.is_u64()) => {
            if all.len() > MAX_PROMPTS {
                return Err(wrong());
            }
            all.iter().map(one).collect()
        }
        Some(prompt) => Ok(vec![one(prompt)?]),
        None => Err(wrong()),
    }
}
