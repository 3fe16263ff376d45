//! `hone trace segments`: how model calls join to training sequences.

use crate::console::{counted, print, print_json, say, table};
use hone_trace::{Filter, JoinReport, Joined, Joining, Store, StoreError, TokenId};
use serde_json::{Value, json};

/// Joins the calls of one episode, or of all of a phase, and says what came of it.
pub fn run(
    store: &Store,
    id: Option<&str>,
    phase: Option<String>,
    end_of_turn: Vec<TokenId>,
    json: bool,
) -> anyhow::Result<()> {
    let joining = match end_of_turn.is_empty() {
        true => Joining::ExactPrefix,
        false => Joining::PromptTipSplice { end_of_turn },
    };
    let Some(id) = id else {
        return all(store, &joining, phase, json);
    };
    let episode = store.episode(id)?.ok_or_else(|| StoreError::NoEpisode {
        path: store.path().into(),
        episode: id.into(),
    })?;
    let joined = joining.join(&episode, |_| true)?;
    if json { print_json(&joined) } else { show(&joined) }
}

fn show(joined: &Joined) -> anyhow::Result<()> {
    let mut rows = vec![
        ["segment", "calls", "tokens", "sampled", "drifted"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(joined.segments.iter().enumerate().map(|(index, segment)| {
        let calls: Vec<_> = segment.calls.iter().map(|span| span.call.to_string()).collect();
        vec![
            index.to_string(),
            calls.join(" "),
            segment.len().to_string(),
            segment.sampled().to_string(),
            segment.drifted.len().to_string(),
        ]
    }));
    print(table(&rows))?;
    for broken in &joined.breaks {
        let mut facts = serde_json::to_value(broken)?;
        let reason = broken.reason.code();
        facts
            .as_object_mut()
            .map(|facts| (facts.remove("call"), facts.remove("reason")));
        let facts = if facts == json!({}) {
            String::new()
        } else {
            format!(" {facts}")
        };
        print(format!("call {} joins none: {reason}{facts}", broken.call))?;
    }
    Ok(())
}

fn all(store: &Store, joining: &Joining, phase: Option<String>, json: bool) -> anyhow::Result<()> {
    let filter = Filter {
        phase,
        ..Filter::default()
    };
    let (mut report, mut episodes, mut untruthful) = (JoinReport::default(), 0u64, 0u64);
    store.for_each(&filter, |episode| -> anyhow::Result<()> {
        let joined = joining.join(&episode, |_| true)?;
        untruthful += joined.segments.iter().filter(|segment| !segment.has_logprobs).count() as u64;
        report.add(&joined);
        episodes += 1;
        Ok(())
    })?;
    if json {
        let mut said: Value = serde_json::to_value(&report)?;
        said["episodes"] = episodes.into();
        said["merge_ratio"] = report.merge_ratio().into();
        said["masked_share"] = report.masked_share().into();
        said["without_logprobs"] = untruthful.into();
        return print_json(&said);
    }
    print(format!(
        "{} in {}: {:.2} calls each, {:.1} % of the tokens masked",
        counted(report.calls, "call"),
        counted(report.segments, "training sequence"),
        report.merge_ratio(),
        100.0 * report.masked_share(),
    ))?;
    for (reason, count) in &report.breaks {
        print(format!("{count:8}  {reason}"))?;
    }
    if untruthful > 0 {
        print(format!(
            "{untruthful} of the sequences lack log-probabilities of sampled tokens: imitation can use them, reinforcement cannot"
        ))?;
    }
    say(counted(episodes, "episode"));
    Ok(())
}
