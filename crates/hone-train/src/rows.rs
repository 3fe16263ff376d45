//! Training rows out of conversations and traces.

use crate::stages::{self, AgentStep};
use crate::supervised::Example;
use hone_harness::{Harness, NoTools};
use hone_model::{Codec, Message};
use hone_trace::{Episode, Flaw, Joining, Origin, TokenId, ToolErrorClass};
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The variant that rollouts without tools are of.
pub(crate) const NO_TOOLS: &str = "no_tools";

/// A document of a corpus as an example: every agent turn is learnt.
pub fn document(codec: &Codec, messages: &[Message]) -> Example {
    let mut example = Example {
        ids: Vec::new(),
        targets: Vec::new(),
    };
    for message in messages {
        match message {
            Message::Agent(turn) => {
                example.ids.extend_from_slice(codec.generation_prompt());
                let start = example.ids.len() as u32;
                example.ids.extend(codec.render_agent(turn));
                example.targets.extend(start..example.ids.len() as u32);
            }
            other => example.ids.extend(codec.render(std::slice::from_ref(other))),
        }
    }
    example
}

/// A demonstration as examples: the demonstrator's own tokens are learnt, exactly as they were recorded.
///
/// # Errors
/// When the record is damaged.
pub fn demonstration(episode: &Episode) -> Result<Vec<Example>, Flaw> {
    let joined = Joining::ExactPrefix.join(episode, |call| call.role == "agent")?;
    Ok(joined
        .segments
        .into_iter()
        .map(|segment| {
            let targets = segment.origins.iter().enumerate();
            let targets = targets
                .filter(|(at, origin)| *at > 0 && **origin == Origin::Teacher)
                .map(|(at, _)| at as u32)
                .collect();
            Example {
                ids: segment.ids,
                targets,
            }
        })
        .filter(|example: &Example| !example.targets.is_empty())
        .collect())
}

/// A rollout with its training rows: the ids, masks and log-probabilities as they were recorded at sampling. Why it has
/// several rows stands in its `breaks`; so do sampled tokens without a log-probability, which nothing is learnt from.
///
/// # Errors
/// When the record is damaged.
pub fn rollout(episode: &Episode) -> Result<stages::Rollout, Flaw> {
    let joined = Joining::ExactPrefix.join(episode, |call| call.role == "agent")?;
    let mut breaks: Vec<Value> = joined.breaks.iter().map(|it| json!(it)).collect();
    let mut steps = Vec::new();
    let first = episode.forked_from.as_ref().map(|fork| fork.model_call);
    let mut before = 0;
    let mut shared = None;
    let rows: Vec<stages::Row> = joined
        .segments
        .into_iter()
        .map(|segment| {
            let mut mask = segment.mask();
            let mut turns = vec![0; segment.ids.len()];
            let mut seen = 0;
            for span in &segment.calls {
                let turn = steps.len() as u32;
                let (start, end) = (span.start as usize, span.end as usize);
                if first.is_some_and(|first| span.call >= first) {
                    shared.get_or_insert(before + start);
                }
                turns[start..end].fill(turn);
                steps.push(AgentStep {
                    turn,
                    reward: 0.0,
                    anchor: Some(anchor(&segment.ids[seen..start])),
                    valid: valid(episode, span.call),
                    checks: Vec::new(),
                });
                seen = end;
            }
            before += segment.ids.len();
            let calls = segment.calls.iter();
            let shaped = calls.filter(|span| {
                episode
                    .model_calls
                    .get(span.call as usize)
                    .is_some_and(|it| it.sampling.is_shaped())
            });
            for span in shaped {
                // Its log-probabilities are of another distribution than the learner's: no ratio can be formed.
                mask[span.start as usize..span.end as usize].fill(false);
                breaks.push(json!({ "call": span.call, "reason": "shaped_sampling" }));
            }
            if !segment.has_logprobs {
                mask.fill(false);
                let first = segment.calls.first().map(|span| span.call);
                breaks.push(json!({ "call": first, "reason": "no_logprobs" }));
            }
            stages::Row {
                mask,
                turns,
                ids: segment.ids,
                logp_sampler: segment.sampled_logprobs,
                logp_old: None,
                logp_ref: None,
            }
        })
        .collect();
    let parent = episode.forked_from.as_ref().map(|fork| stages::Fork {
        rollout: fork.episode.clone(),
        // Of a leaf that took no turn of its own all is shared.
        token: shared.unwrap_or(before),
    });
    // As the part that compares both calls it by default.
    let alone = episode.harness == NoTools.name();
    Ok(stages::Rollout {
        variant: alone.then(|| NO_TOOLS.to_owned()),
        breaks,
        steps,
        parent,
        ..stages::Rollout::new(episode, rows)
    })
}

/// A key of what was seen before an answer.
fn anchor(seen: &[TokenId]) -> String {
    let mut hasher = DefaultHasher::new();
    seen.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Whether all tool calls of that model call were well formed: of a tool that exists, with arguments that fit.
fn valid(episode: &Episode, call: u32) -> bool {
    use ToolErrorClass::{InvalidArguments, Malformed, UnknownTool};
    let mut errors = episode
        .tool_calls
        .iter()
        .filter(|it| it.model_call == Some(call))
        .filter_map(|it| it.error.as_ref());
    !errors.any(|error| matches!(error.class, Malformed | UnknownTool | InvalidArguments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_trace::{ModelCall, Prompt, Span, Stream, Turn, sample};

    fn call(id: u32, ids: &[u32], logprobs: &[f32]) -> ModelCall {
        let (prompt, output) = ids.split_at(ids.len() - 2);
        let all = |value| Span {
            start: 0,
            end: 2,
            value,
        };
        ModelCall {
            id,
            parent: None,
            retry_of: None,
            role: "agent".into(),
            prompt: Prompt {
                shared: 0,
                new: prompt.to_vec(),
            },
            output: output.to_vec(),
            origins: vec![all(Origin::Sampled)],
            logprobs: logprobs.to_vec(),
            sampled_logprobs: Vec::new(),
            entropies: Vec::new(),
            top_logprobs: Vec::new(),
            versions: Vec::new(),
            ..sample::episode(&Stream::new(0), "x", 1).model_calls.remove(0)
        }
    }

    #[test]
    fn what_could_not_be_chained_or_has_no_logprobs_is_said() {
        let mut episode = sample::episode(&Stream::new(0), "rl/1/0/0", 1);
        let known = [-0.5, -0.25];
        episode.tool_calls.clear();
        episode.turns = (0..4).map(|model_call| Turn::Agent { model_call }).collect();
        episode.model_calls = vec![
            call(0, &[1, 2, 7, 9], &known),
            call(1, &[1, 2, 7, 9, 3, 7, 9], &known),
            // The first answer is rendered otherwise.
            call(2, &[1, 2, 8, 9, 3, 4, 7, 9], &known),
            call(3, &[5, 7, 9], &[]),
        ];
        let rollout = rollout(&episode).unwrap();
        assert_eq!(rollout.rows.len(), 3);
        assert_eq!(rollout.rows[0].ids, [1, 2, 7, 9, 3, 7, 9]);
        assert_eq!(rollout.rows[0].mask, [false, false, true, true, false, true, true]);
        assert_eq!(rollout.rows[0].turns, [0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(rollout.rows[2].turns, [0, 3, 3]);
        assert_eq!(rollout.rows[2].sampled(), 0);
        let anchors: Vec<_> = rollout.steps.iter().map(|step| step.anchor.clone().unwrap()).collect();
        assert_eq!(anchors.len(), 4);
        assert_eq!(anchors[1], anchor(&[3]));
        assert!(anchors[0] != anchors[2] && rollout.steps.iter().all(|step| step.valid));
        let reasons: Vec<_> = rollout
            .breaks
            .iter()
            .map(|it| (it["call"].as_u64().unwrap(), it["reason"].as_str().unwrap()))
            .collect();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert_eq!((reasons[0].0, reasons[1].0), (2, 3));
        assert_eq!(reasons[2], (3, "no_logprobs"));
        // The stage keeps them.
        let other = stages::Rollout {
            id: "b".into(),
            reward: rollout.reward + 1.0,
            ..rollout.clone()
        };
        let prepared = stages::Method::default().prepare(vec![rollout.clone(), other]).unwrap();
        let values = &prepared.reports[4].values;
        assert_eq!(values["breaks"].as_array().unwrap().len(), 6, "{values}");
        assert_eq!(values["breaks"][0]["rollout"], "rl/1/0/0");
        assert_eq!(values["breaks"][0]["break"], rollout.breaks[0]);
    }
}
