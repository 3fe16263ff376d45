//! Which judges are asked what.

use super::{Judge, Panel, PanelError};
use hone_env::{Judges, Question};
use hone_trace::{Episode, SamplingSettings, Stream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A panel for all questions, or panels for the questions that name them. Questions without a panel are not asked.
#[derive(Clone, Default)]
pub struct Jury {
    all: Option<Arc<Panel>>,
    named: BTreeMap<String, Panel>,
}

impl Jury {
    /// These judges for everything; else those that the taskset names for its own questions, greedily.
    ///
    /// # Errors
    /// When the taskset names an even number of them.
    pub fn of(all: Option<Arc<Panel>>, named: Vec<Judges>) -> Result<Self, PanelError> {
        let panel = |judges: Judges| {
            let judge = |model| Judge {
                model,
                sampling: SamplingSettings {
                    temperature: 0.0,
                    top_p: 1.0,
                    top_k: 0,
                    max_tokens: 0,
                    stream: String::new(),
                    ..SamplingSettings::default()
                },
                timeout: judges.timeout,
            };
            let panel = Panel::of(judges.models.into_iter().map(judge).collect())?;
            Ok((judges.name, panel))
        };
        Ok(Self {
            all,
            named: named.into_iter().map(panel).collect::<Result<_, _>>()?,
        })
    }

    /// Whether nobody is asked anything.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.named.is_empty()
    }

    /// Ask what there is a panel for: see [`Panel::judge`].
    ///
    /// # Errors
    /// When a judge gives no verdict: the reason.
    pub async fn judge(&self, episode: &mut Episode, questions: &[Question], stream: &Stream) -> Result<(), String> {
        for question in questions {
            let named = question.judges.as_ref().and_then(|name| self.named.get(name));
            if let Some(panel) = self.all.as_deref().or(named) {
                panel.judge(episode, std::slice::from_ref(question), stream).await?;
            }
        }
        Ok(())
    }
}
