//! What is recorded of judges' words on failed episodes.

use super::super::watch;
use hone_env::{Finding, findings};
use hone_score::Taxonomy;
use hone_trace::{Filter, Outcome, Store};
use std::collections::HashMap;
use std::path::Path;

/// What is recorded of the judges' words on an episode: verdicts on the parties and, if they were asked about, the classes in
/// their order, with reasons; or why not.
pub(super) type Said = Result<Vec<(bool, String)>, String>;

/// What is recorded of judges.
#[derive(Default)]
pub(super) struct Words {
    pub judges: Vec<String>,
    /// By episode.
    pub said: HashMap<String, Said>,
    /// What asking without a readable verdict cost, by the id in the record: it is asked again.
    pub unread: HashMap<String, f64>,
    /// What all asking cost, in US dollars; `None` if no price is recorded.
    pub spent: Option<f64>,
}

/// Where the store keeps who judged.
pub(super) fn judges_key(taxonomy: &Taxonomy) -> String {
    format!("judges/{}", taxonomy.name)
}

/// Where it keeps what was spent on words that others have replaced, in US dollars.
pub(super) fn replaced_key(taxonomy: &Taxonomy) -> String {
    format!("replaced_usd/{}", taxonomy.name)
}

/// What is recorded of judges on these classes.
pub(super) fn read(folder: &Path, classes: &Taxonomy) -> anyhow::Result<Words> {
    let file = folder.join("run.db");
    if !file.exists() {
        return Ok(Words::default());
    }
    let store = Store::open_read_only(&file)?;
    let judges = store.get_meta(&judges_key(classes))?;
    let replaced = store.get_meta(&replaced_key(classes))?;
    let mut words = Words {
        judges: judges.map(serde_json::from_value).transpose()?.unwrap_or_default(),
        spent: replaced.and_then(|usd| usd.as_f64()),
        ..Words::default()
    };
    store.for_each(&Filter::phase(classes.name), |episode| -> anyhow::Result<()> {
        let found = findings(&episode);
        let mut remotes = episode.model_calls.iter().filter_map(|call| call.remote.as_ref());
        let cost = watch::cost(&episode);
        if remotes.any(|remote| remote.cost_usd.is_some()) {
            words.spent = Some(words.spent.unwrap_or(0.0) + cost);
        }
        let said: Said = match &episode.outcome {
            Outcome::InfraFailed { cause } => Err(cause.clone()),
            _ if !whole(classes, &found) => Err("some questions have no verdict".to_owned()),
            _ => Ok(found
                .into_iter()
                .map(|finding| {
                    (
                        finding.pass,
                        finding
                            .votes
                            .into_iter()
                            .next()
                            .map_or_else(String::new, |vote| vote.reasoning),
                    )
                })
                .collect()),
        };
        let id = episode
            .id
            .strip_prefix(classes.name)
            .and_then(|id| id.strip_prefix('/'));
        if let Some(id) = id {
            if said.is_err() && cost > 0.0 {
                words.unread.insert(episode.id.clone(), cost);
            }
            words.said.insert(id.to_owned(), said);
        }
        Ok(())
    })?;
    Ok(words)
}

/// Whether all was asked that is to be asked.
fn whole(classes: &Taxonomy, found: &[Finding]) -> bool {
    let parties = classes.parties.len();
    let Some(faults) = found.get(..parties) else {
        return false;
    };
    let answers: Vec<bool> = faults.iter().map(|finding| finding.pass).collect();
    let more = if classes.classed(&answers) {
        classes.classes.len()
    } else {
        0
    };
    found.len() == parties + more
}
