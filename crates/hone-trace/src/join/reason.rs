//! Why a call joined no open segment.

use serde::Serialize;

use super::{Segment, common_prefix};
use crate::{FinishReason, ModelCall, TokenId};

/// A call that joined no open segment: it opened one, or was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The call's id.
    pub call: u32,
    /// Why.
    #[serde(flatten)]
    pub reason: BreakReason,
}

/// Why. `at` is the first position at which the prompt differs from the nearest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum BreakReason {
    /// It continues nothing: a sub-agent, a side call, a conversation begun anew.
    NewLineage,
    /// The last answer of the segment is rendered otherwise than it was sampled: re-tokenised, its arguments in another
    /// order, its reasoning removed.
    TemplateDrift { call: u32, at: u32 },
    /// As before, but the last answer had been cut off, and was not continued as it stood.
    TruncatedTurn { call: u32, at: u32 },
    /// It goes on from an earlier point of a segment that has gone on since: after the answer of that call, or from the
    /// very first prompt.
    Forked { from: Option<u32> },
    /// Something before the last answer was changed.
    Rewritten { at: u32 },
    /// As before, and the prompt is shorter than what was held: history was summarised or cut.
    Compacted { at: u32 },
    /// The prompt does not show where the turn of that call ends, so its sampled answer cannot be put in.
    NoEndOfTurn { call: u32 },
    /// Left out: the same turn was tried again, and that attempt counts.
    Retried { kept: u32 },
    /// Left out: the same prompt and answer as that call.
    Duplicate { of: u32 },
    /// Left out: the model answered nothing.
    NoOutput,
}

impl BreakReason {
    /// The code under which it is counted.
    pub fn code(self) -> &'static str {
        match self {
            Self::NewLineage => "new_lineage",
            Self::TemplateDrift { .. } => "template_drift",
            Self::TruncatedTurn { .. } => "truncated_turn",
            Self::Forked { .. } => "forked",
            Self::Rewritten { .. } => "rewritten",
            Self::Compacted { .. } => "compacted",
            Self::NoEndOfTurn { .. } => "no_end_of_turn",
            Self::Retried { .. } => "retried",
            Self::Duplicate { .. } => "duplicate",
            Self::NoOutput => "no_output",
        }
    }

    /// Whether the call is in no segment at all.
    pub fn left_out(self) -> bool {
        matches!(self, Self::Retried { .. } | Self::Duplicate { .. } | Self::NoOutput)
    }
}

/// Why a prompt continues none of the segments of its thread, each given with its last call: judged by the segment with
/// which it has the most in common.
pub(super) fn classify<'a>(
    call: &ModelCall,
    prompt: &[TokenId],
    thread: impl Iterator<Item = (&'a Segment, &'a ModelCall)>,
) -> BreakReason {
    let shared = thread.map(|(segment, last)| (common_prefix(&segment.ids, prompt), segment, last));
    // Of equals the first: the segment that the others were forked from.
    let nearest = shared.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let Some((shared, segment, last)) = nearest else {
        return BreakReason::NewLineage;
    };
    let at = shared as u32;
    let changed = if prompt.len() < segment.len() {
        BreakReason::Compacted { at }
    } else {
        BreakReason::Rewritten { at }
    };
    // The last answer that begins at or before the difference.
    let Some(position) = segment.calls.iter().rposition(|span| span.start <= at) else {
        // The first prompts differ. A recorder that knows of a parent says that it is one conversation all the same.
        return if call.parent.is_some() {
            changed
        } else {
            BreakReason::NewLineage
        };
    };
    let span = segment.calls[position];
    let before = |position: usize| position.checked_sub(1).map(|position| segment.calls[position].call);
    if at < span.end {
        if shared == prompt.len() && at == span.start {
            return BreakReason::Forked { from: before(position) };
        }
        if span.call != last.id {
            return changed;
        }
        return match last.finish {
            FinishReason::Stop => BreakReason::TemplateDrift { call: last.id, at },
            _ => BreakReason::TruncatedTurn { call: last.id, at },
        };
    }
    // The difference lies in what followed an answer. If the answers after it are still there, their past was changed;
    // if not, this is another continuation of that answer.
    let kept = &prompt[shared..];
    if kept.windows(last.output.len()).any(|window| window == last.output) {
        changed
    } else {
        BreakReason::Forked { from: Some(span.call) }
    }
}
