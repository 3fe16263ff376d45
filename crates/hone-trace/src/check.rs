//! What makes a record whole: checked before it is written, after it is read, and on import.

use crate::{Episode, ModelCall, SCHEMA, Score, Span, Turn};

/// The first thing that is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {what}")]
pub struct Flaw {
    /// Path of the field, such as `model_calls[3].logprobs`.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl Flaw {
    pub(crate) fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            what: what.into(),
        }
    }
}

impl Episode {
    /// Checks that the record is whole, so that what reads it later need not.
    ///
    /// * Calls are numbered by position and refer only to what exists; a parent and a retried call come earlier.
    /// * A shared prefix is not longer than the parent's sequence.
    /// * Origins cover the output exactly; versions lie within it; both in order, without overlap.
    /// * Log-probabilities and entropies are one per output token, or absent; the first are not above 0, the second not
    ///   below, but for rounding.
    /// * Numbers are finite (JSON and SQL have no others).
    pub fn check(&self) -> Result<(), Flaw> {
        if self.schema == 0 || self.schema > SCHEMA {
            return Err(Flaw::new(
                "schema",
                format!("is {}, but this program knows 1 to {SCHEMA}", self.schema),
            ));
        }
        if self.id.is_empty() {
            return Err(Flaw::new("id", "is empty"));
        }
        // Length of each call's full sequence; what a later call may share of it.
        let mut lengths: Vec<u64> = Vec::with_capacity(self.model_calls.len());
        for (index, call) in self.model_calls.iter().enumerate() {
            let length = check_model_call(call, index, &lengths)
                .map_err(|flaw| Flaw::new(format!("model_calls[{index}].{}", flaw.field), flaw.what))?;
            lengths.push(length);
        }
        let known = |id: u32, count: usize| (id as usize) < count;
        for (index, call) in self.tool_calls.iter().enumerate() {
            let at = |field: &str| format!("tool_calls[{index}].{field}");
            if call.id as usize != index {
                return Err(Flaw::new(
                    at("id"),
                    format!("is {}, but a call's id is its position", call.id),
                ));
            }
            if call.model_call.is_some_and(|id| !known(id, self.model_calls.len())) {
                return Err(Flaw::new(at("model_call"), "refers to no model call"));
            }
        }
        for (index, turn) in self.turns.iter().enumerate() {
            let whole = match *turn {
                Turn::Agent { model_call } => known(model_call, self.model_calls.len()),
                Turn::Tool { tool_call } => known(tool_call, self.tool_calls.len()),
                Turn::System { .. } | Turn::User { .. } => true,
            };
            if !whole {
                return Err(Flaw::new(format!("turns[{index}]"), "refers to no call"));
            }
        }
        check_scores(&self.scores)?;
        if self.reward.is_some_and(|reward| !reward.is_finite()) {
            return Err(Flaw::new("reward", "is not finite"));
        }
        Ok(())
    }
}

pub(crate) fn check_scores(scores: &[Score]) -> Result<(), Flaw> {
    let finite = |score: &Score| score.value.is_finite() && score.parts.iter().all(|part| part.value.is_finite());
    match scores.iter().position(|score| !finite(score)) {
        Some(index) => Err(Flaw::new(
            format!("scores[{index}]"),
            "holds a number that is not finite",
        )),
        None => Ok(()),
    }
}

/// How far rounding may take a log-probability above 0, or an entropy below.
const ROUNDING: f32 = 1e-3;

/// Checks one call and returns the length of its full sequence.
fn check_model_call(call: &ModelCall, index: usize, lengths: &[u64]) -> Result<u64, Flaw> {
    if call.id as usize != index {
        return Err(Flaw::new(
            "id",
            format!("is {}, but a call's id is its position", call.id),
        ));
    }
    let inherited = match call.parent {
        None => 0,
        Some(parent) => *lengths
            .get(parent as usize)
            .ok_or_else(|| Flaw::new("parent", "refers to no earlier call"))?,
    };
    if u64::from(call.prompt.shared) > inherited {
        return Err(Flaw::new(
            "prompt.shared",
            format!("is longer than the parent's sequence of {inherited} tokens"),
        ));
    }
    if call.retry_of.is_some_and(|id| id as usize >= index) {
        return Err(Flaw::new("retry_of", "refers to no earlier call"));
    }
    let length = call.output.len();
    let end = check_spans("origins", &call.origins, length, true)?;
    if end != length {
        return Err(Flaw::new("origins", format!("cover {end} of {length} output tokens")));
    }
    check_spans("versions", &call.versions, length, false)?;
    let per_token = [
        ("logprobs", &call.logprobs),
        ("sampled_logprobs", &call.sampled_logprobs),
        ("entropies", &call.entropies),
    ];
    for (field, values) in per_token {
        if !values.is_empty() && values.len() != length {
            return Err(Flaw::new(
                field,
                format!("has {} values for {length} output tokens", values.len()),
            ));
        }
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            return Err(Flaw::new(format!("{field}[{position}]"), "is not finite"));
        }
        let (sign, what) = match field {
            "entropies" => (-1.0, "is below 0, so no entropy"),
            _ => (1.0, "is above 0, so no log-probability"),
        };
        if let Some(position) = values.iter().position(|value| sign * value > ROUNDING) {
            return Err(Flaw::new(format!("{field}[{position}]"), what));
        }
    }
    let tops = &call.top_logprobs;
    if !tops.is_empty() && tops.len() != length {
        let what = format!("has {} values for {length} output tokens", tops.len());
        return Err(Flaw::new("top_logprobs", what));
    }
    let log_probability = |x: f32| x.is_finite() && x <= ROUNDING;
    if tops
        .iter()
        .flatten()
        .any(|t| !log_probability(t.logprob) || !t.sampled.is_none_or(log_probability))
    {
        return Err(Flaw::new("top_logprobs", "holds a number that is no log-probability"));
    }
    if !call.sampling.is_finite() {
        return Err(Flaw::new("sampling", "holds a number that is not finite"));
    }
    if call
        .remote
        .as_ref()
        .and_then(|remote| remote.cost_usd)
        .is_some_and(|cost| !cost.is_finite())
    {
        return Err(Flaw::new("remote.cost_usd", "is not finite"));
    }
    Ok(u64::from(call.prompt.shared) + call.prompt.new.len() as u64 + length as u64)
}

/// Checks that runs are in order and within `length`; returns the end of the last.
fn check_spans<T>(field: &str, spans: &[Span<T>], length: usize, contiguous: bool) -> Result<usize, Flaw> {
    let mut end = 0;
    for (index, span) in spans.iter().enumerate() {
        let gap = if contiguous {
            span.start != end
        } else {
            span.start < end
        };
        if gap || span.end <= span.start || span.end as usize > length {
            let what = format!(
                "is {}..{}, out of order or beyond {length} output tokens",
                span.start, span.end
            );
            return Err(Flaw::new(format!("{field}[{index}]"), what));
        }
        end = span.end;
    }
    Ok(end as usize)
}

#[cfg(test)]
mod tests {
    use crate::sample::episode;
    use crate::{Episode, Origin, Remote, Span, Stream, Turn};

    fn flaw(spoil: impl FnOnce(&mut Episode)) -> String {
        let mut record = episode(&Stream::new(1), "eval/0/0", 3);
        record.check().expect("the made-up episode is whole");
        spoil(&mut record);
        record.check().expect_err("spoilt").to_string()
    }

    #[test]
    fn each_flaw_names_its_field() {
        insta::assert_snapshot!(
            [
                flaw(|e| e.schema = 2),
                flaw(|e| e.id.clear()),
                flaw(|e| e.model_calls[1].id = 7),
                flaw(|e| e.model_calls[1].parent = Some(1)),
                flaw(|e| e.model_calls[1].prompt.shared = 1_000_000),
                flaw(|e| e.model_calls[2].retry_of = Some(2)),
                flaw(|e| e.model_calls[0].origins = vec![Span { start: 0, end: 1, value: Origin::Sampled }]),
                flaw(|e| e.model_calls[0].versions = vec![Span { start: 2, end: 1, value: 0 }]),
                flaw(|e| e.model_calls[0].logprobs = vec![0.0]),
                flaw(|e| e.model_calls[0].logprobs[2] = f32::NAN),
                flaw(|e| e.model_calls[0].logprobs[1] = 0.5),
                flaw(|e| e.model_calls[0].entropies[1] = -0.5),
                flaw(|e| e.model_calls[0].sampling.temperature = f32::INFINITY),
                flaw(|e| {
                    let remote = Remote { cost_usd: Some(f64::NAN), ..Remote::default() };
                    e.model_calls[0].remote = Some(Box::new(remote));
                }),
                flaw(|e| e.tool_calls[0].id = 1),
                flaw(|e| e.tool_calls[0].model_call = Some(9)),
                flaw(|e| e.turns.push(Turn::Tool { tool_call: 9 })),
                flaw(|e| e.scores[0].parts[0].value = f64::NAN),
                flaw(|e| e.reward = Some(f64::INFINITY)),
            ]
            .join("\n"),
            @r##"
            `schema` is 2, but this program knows 1 to 1
            `id` is empty
            `model_calls[1].id` is 7, but a call's id is its position
            `model_calls[1].parent` refers to no earlier call
            `model_calls[1].prompt.shared` is longer than the parent's sequence of 83 tokens
            `model_calls[2].retry_of` refers to no earlier call
            `model_calls[0].origins` cover 1 of 30 output tokens
            `model_calls[0].versions[0]` is 2..1, out of order or beyond 30 output tokens
            `model_calls[0].logprobs` has 1 values for 30 output tokens
            `model_calls[0].logprobs[2]` is not finite
            `model_calls[0].logprobs[1]` is above 0, so no log-probability
            `model_calls[0].entropies[1]` is below 0, so no entropy
            `model_calls[0].sampling` holds a number that is not finite
            `model_calls[0].remote.cost_usd` is not finite
            `tool_calls[0].id` is 1, but a call's id is its position
            `tool_calls[0].model_call` refers to no model call
            `turns[7]` refers to no call
            `scores[0]` holds a number that is not finite
            `reward` is not finite
            "##
        );
    }
}
