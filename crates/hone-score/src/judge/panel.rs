//! Several judges, decided by majority.

use super::{Judge, fleiss_kappa};
use hone_env::{Finding, Question, VERDICT, Vote};
use hone_trace::{Episode, Event, Stream};

/// An odd number of judges.
#[derive(Clone)]
pub struct Panel {
    judges: Vec<Judge>,
}

/// Why there is no panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} judges have no majority in every case; take an odd number")]
pub struct PanelError(usize);

impl Panel {
    /// These judges.
    ///
    /// # Errors
    /// When their number is even.
    pub fn of(judges: Vec<Judge>) -> Result<Self, PanelError> {
        match judges.len() % 2 {
            1 => Ok(Self { judges }),
            _ => Err(PanelError(judges.len())),
        }
    }

    /// Ask every judge every question, one after the other, and record calls and findings in the episode.
    ///
    /// # Errors
    /// When a judge gives no verdict: the reason. What was recorded until then stays; no finding is made of it.
    pub async fn judge(&self, episode: &mut Episode, questions: &[Question], stream: &Stream) -> Result<(), String> {
        for question in questions {
            let mut votes = Vec::new();
            for judge in &self.judges {
                let id = episode.model_calls.len() as u32;
                let asked = judge.ask(question, id, stream).await;
                episode.model_calls.extend(asked.call);
                let verdict = asked
                    .verdict
                    .map_err(|reason| format!("{} on {:?}: {reason}", judge.model.name(), question.statement))?;
                votes.push(Vote {
                    model_call: id,
                    pass: verdict.pass,
                    reasoning: verdict.reasoning,
                });
            }
            let finding = Finding {
                statement: question.statement.clone(),
                subject: question.subject.clone(),
                judges: question.judges.clone(),
                pass: votes.iter().filter(|vote| vote.pass).count() * 2 > votes.len(),
                votes,
            };
            let detail = serde_json::to_value(finding).map_err(|error| error.to_string())?;
            episode.events.push(Event {
                kind: VERDICT.to_owned(),
                detail,
            });
        }
        Ok(())
    }

    /// How far judges agreed beyond chance over findings of the same panel (Fleiss' κ); `None` where it is not defined.
    pub fn agreement(findings: &[Finding]) -> Option<f64> {
        let counts: Vec<_> = findings
            .iter()
            .map(|finding| {
                let pass = finding.votes.iter().filter(|vote| vote.pass).count() as u64;
                vec![pass, finding.votes.len() as u64 - pass]
            })
            .collect();
        fleiss_kappa(&counts)
    }
}
