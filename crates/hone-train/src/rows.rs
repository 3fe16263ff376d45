//! Training rows out of conversations and traces.

use crate::stages;
use crate::supervised::Example;
use hone_model::{Codec, Message};
use hone_trace::{Episode, Flaw, Joining, Origin};

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

/// A rollout with its training rows: the ids, masks and log-probabilities as they were recorded at sampling.
///
/// # Errors
/// When the record is damaged.
pub fn rollout(episode: &Episode) -> Result<stages::Rollout, Flaw> {
    let joined = Joining::ExactPrefix.join(episode, |call| call.role == "agent")?;
    let rows = joined
        .segments
        .into_iter()
        .map(|segment| stages::Row {
            mask: segment.mask(),
            turns: Vec::new(),
            ids: segment.ids,
            logp_sampler: segment.sampled_logprobs,
            logp_old: None,
            logp_ref: None,
        })
        .collect();
    Ok(stages::Rollout::new(episode, rows))
}
