//! Published classes of failure that a judge decides on, and how its word compares with the rules'.
//!
//! A judge is asked about each class by itself: whether it applies to a failed episode. So an episode may be of several
//! classes, or of none, and a verdict is one like any other ([`crate::judge`]). FAMA asks so too, one analyst a class;
//! τ-bench lets its judge choose one class, τ²-bench's reviewer lists errors with their tags.
//!
//! Both first ask who was at fault: of the user and the agent τ-bench's judge chooses one, and what is neither's fault is the
//! environment's; τ²-bench's reviewer says it of each error. Here each of the two is asked about by itself, and both may be.
//! As in τ-bench's program, the classes are then asked about only where the agent was.

use crate::failure::{FailureClass, Reference, shown};
use crate::judge::cohen_kappa;
use crate::measures::end_name;
use hone_env::Question;
use hone_trace::{Episode, Turn};

/// A class of failure.
#[derive(Debug)]
pub struct JudgedClass {
    /// Its name in the source.
    pub name: &'static str,
    /// What holds of an episode that is of this class.
    pub about: &'static str,
    /// The rules' classes that say the same.
    pub rules: &'static [FailureClass],
}

/// Who may be at fault.
#[derive(Debug)]
pub struct Party {
    /// Its name in the source.
    pub name: &'static str,
    /// What holds of an episode that failed by its fault.
    pub about: &'static str,
}

/// The party whose faults have classes.
pub const AGENT: &str = "agent";

/// Who is at fault where nobody is.
pub const ENVIRONMENT: &str = "environment";

/// Classes of one source.
#[derive(Debug)]
pub struct Taxonomy {
    /// Its name on the command line.
    pub name: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// Whether the judge sees what solves the task, as in the source.
    pub sees_reference: bool,
    /// Whose fault it may be, where the source asks; the judge then sees what the user was told, as there. One is the
    /// [`AGENT`].
    pub parties: &'static [Party],
    /// The classes.
    pub classes: &'static [JudgedClass],
}

use FailureClass::{Hallucination, Incomplete, InvalidCall, Misread, PolicyViolation, WrongRetrieval};

const fn class(name: &'static str, about: &'static str, rules: &'static [FailureClass]) -> JudgedClass {
    JudgedClass { name, about, rules }
}

/// All of them.
pub const TAXONOMIES: [Taxonomy; 3] = [
    Taxonomy {
        name: "fama",
        source: "FAMA, arXiv:2604.25135",
        sees_reference: false,
        parties: &[],
        classes: &[
            class(
                "domain_policy_violation",
                "The agent did what the rules that it was given forbid, or left out what they demand",
                &[PolicyViolation],
            ),
            class(
                "incorrect_retrieval",
                "The agent took a wrong value or record out of a tool's result that held the right one",
                &[WrongRetrieval],
            ),
            class(
                "contextual_misinterpretation",
                "The agent misunderstood what was said, or went by something that nothing it was shown contains",
                &[Hallucination, Misread],
            ),
            class(
                "incomplete_fulfilment",
                "The agent stopped before all that was asked for was done",
                &[Incomplete],
            ),
        ],
    },
    Taxonomy {
        name: "tau",
        source: "tau-bench, auto_error_identification.py",
        sees_reference: true,
        parties: &[
            Party {
                name: "user",
                about: "The user is responsible for the fault: they caused an action that was not grounded in what the user was told.",
            },
            Party {
                name: AGENT,
                about: "The agent is responsible for the fault: it took an action that was not correct, or took the action with \
                    the wrong arguments.",
            },
        ],
        classes: &[
            class(
                "called_wrong_tool",
                "The agent called a tool that should not have been called",
                &[PolicyViolation],
            ),
            class(
                "used_wrong_tool_argument",
                "The agent called the right tool with a wrong argument",
                &[Hallucination, WrongRetrieval, Misread],
            ),
            class(
                "goal_partially_completed",
                "The agent did a part of what the goal takes, or nothing of it, and nothing wrong",
                &[Incomplete],
            ),
        ],
    },
    Taxonomy {
        name: "tau2",
        source: "tau2-bench, evaluator/review_llm_judge.py: tags of agents' errors",
        sees_reference: true,
        parties: &[
            Party {
                name: "user",
                about: "The user made an error that hindered the agent or made the task impossible: it said what neither stands in \
                    what it was told nor follows from it, did its task wrongly, contradicted itself, or gave up while the agent \
                    made progress. Giving up on an agent that does not answer or fails again and again is none.",
            },
            Party {
                name: AGENT,
                about: "The agent made an error that caused the failure: it did not follow its rules, did its task wrongly, or \
                    contradicted itself.",
            },
        ],
        classes: &[
            class(
                "hallucination",
                "The agent made up something that neither its rules, nor the user, nor a tool's result contains",
                &[Hallucination],
            ),
            class(
                "incorrect_interpretation",
                "The agent misread something that was there, such as a tool's result or a message",
                &[WrongRetrieval, Misread],
            ),
            class(
                "guideline_violation",
                "The agent said or did something that its rules do not allow",
                &[PolicyViolation],
            ),
            class(
                "revealed_info_early",
                "The agent gave information away before it was time, or before it had checked who asks",
                &[],
            ),
            class(
                "inconsistent_behavior",
                "The agent contradicted something that it had said or done before",
                &[],
            ),
            class(
                "tool_call_schema_error",
                "The agent wrote a call that does not fit the tools: an unknown name, a missing argument, a wrong type",
                &[InvalidCall],
            ),
            class(
                "tool_call_argument_error",
                "The agent wrote a call that fits its tool, and gave an argument a wrong value",
                &[Hallucination, WrongRetrieval, Misread],
            ),
            class(
                "irrelevant_tool_call",
                "The agent called a tool that has nothing to do with the task as it then stood",
                &[],
            ),
            class(
                "premature_termination",
                "The agent ended the conversation, or settled for less, while there was progress towards the goal",
                &[],
            ),
            class(
                "missed_required_action",
                "The agent did not take an action that the task takes",
                &[Incomplete],
            ),
            class("wrong_sequence", "The agent did things in the wrong order", &[]),
        ],
    },
];

/// What a class must be to count, beside what it says: FAMA's last step leaves out errors that were recovered from.
const COUNTS: &str =
    ", and this is a reason why the task failed: an error that the agent made good later does not count.";

impl Taxonomy {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TAXONOMIES.iter().find(|taxonomy| taxonomy.name == name)
    }

    /// What a judge reads of a failed episode: `told` is what its simulated user was told.
    fn subject(&self, episode: &Episode, reference: Option<&Reference>, told: Option<&str>) -> String {
        let told = told.filter(|_| !self.parties.is_empty());
        subject(episode, reference.filter(|_| self.sees_reference), told)
    }

    /// What a judge is asked first: a question for each party, in their order.
    pub fn faults(&self, episode: &Episode, reference: Option<&Reference>, told: Option<&str>) -> Vec<Question> {
        let subject = self.subject(episode, reference, told);
        let question = |party: &Party| Question {
            subject: subject.clone(),
            statement: party.about.to_owned(),
            judges: None,
        };
        self.parties.iter().map(question).collect()
    }

    /// What a judge is asked about a failed episode: a question for each class, in their order.
    pub fn questions(&self, episode: &Episode, reference: Option<&Reference>, told: Option<&str>) -> Vec<Question> {
        let subject = self.subject(episode, reference, told);
        let question = |class: &JudgedClass| Question {
            subject: subject.clone(),
            statement: format!("{}{COUNTS}", class.about),
            judges: None,
        };
        self.classes.iter().map(question).collect()
    }

    /// Whether the classes are asked about, by the answers to [`Self::faults`].
    pub fn classed(&self, at_fault: &[bool]) -> bool {
        let agent = self.parties.iter().position(|party| party.name == AGENT);
        agent.is_none_or(|at| at_fault.get(at) == Some(&true))
    }

    /// Who is at fault, by those answers: several, or with none the [`ENVIRONMENT`].
    pub fn at_fault(&self, answers: &[bool]) -> Vec<&'static str> {
        let named = self.parties.iter().zip(answers).filter(|(_, holds)| **holds);
        let named: Vec<&str> = named.map(|(party, _)| party.name).collect();
        if named.is_empty() { vec![ENVIRONMENT] } else { named }
    }

    /// Whether one of the classes is what this class of the rules says.
    pub fn speaks_of(&self, rule: FailureClass) -> bool {
        self.classes.iter().any(|class| class.rules.contains(&rule))
    }

    /// For each class, the judge beside the rules.
    pub fn beside_rules(&self, readings: &[Reading]) -> Vec<ClassCount> {
        let shared: Vec<&Reading> = readings.iter().filter(|read| self.speaks_of(read.rule)).collect();
        let count = |(at, class): (usize, &JudgedClass)| {
            let judge = |read: &Reading| read.judge.get(at) == Some(&true);
            let rule = |read: &Reading| class.rules.contains(&read.rule);
            let (judged, ruled): (Vec<bool>, Vec<bool>) = shared.iter().map(|read| (judge(read), rule(read))).unzip();
            let spoken = !class.rules.is_empty();
            ClassCount {
                judge: readings.iter().filter(|read| judge(read)).count() as u64,
                rule: spoken.then(|| readings.iter().filter(|read| rule(read)).count() as u64),
                both: spoken.then(|| readings.iter().filter(|read| judge(read) && rule(read)).count() as u64),
                cohen_kappa: spoken.then(|| cohen_kappa(&judged, &ruled)).flatten(),
            }
        };
        self.classes.iter().enumerate().map(count).collect()
    }
}

/// What a judge and the rules say of one failed episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The rules' class.
    pub rule: FailureClass,
    /// Whether each class of the taxonomy applies, by the judge.
    pub judge: Vec<bool>,
}

/// How often a class applies.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClassCount {
    /// Episodes that the judge put into it.
    pub judge: u64,
    /// Episodes that the rules put into it; `None` where no rule speaks of the class.
    pub rule: Option<u64>,
    /// Those that both did.
    pub both: Option<u64>,
    /// Cohen's κ of the two, over the episodes that the rules give a class which the taxonomy speaks of.
    pub cohen_kappa: Option<f64>,
}

/// A failed episode as a judge reads it: what was said and done, how it ended and was scored; what the user was told, and
/// what solves the task, if they are given.
fn subject(episode: &Episode, reference: Option<&Reference>, told: Option<&str>) -> String {
    let mut lines: Vec<String> = told
        .map(|told| format!("(the user was told:)\n{told}\n(this is what was said and done:)"))
        .into_iter()
        .collect();
    lines.extend(episode.turns.iter().map(|turn| match turn {
        Turn::System { text } => format!("system: {text}"),
        Turn::User { text } => format!("user: {text}"),
        Turn::Agent { model_call } => {
            let call = episode.model_calls.get(*model_call as usize);
            format!("agent: {}", call.map_or("", |call| &call.text))
        }
        Turn::Tool { tool_call } => {
            let call = episode.tool_calls.get(*tool_call as usize);
            format!("tool: {}", call.map_or("", |call| &call.shown))
        }
    }));
    lines.push(format!("(the end: {}; the task failed)", end_name(episode.end)));
    let parts = episode.scores.iter().flat_map(|score| &score.parts);
    let lacking = parts.filter(|part| part.value < 1.0 && !part.why.is_empty());
    lines.extend(lacking.map(|part| format!("(scored {} for {}: {})", part.value, part.name, part.why)));
    if let Some(reference) = reference {
        lines.push("(these calls solve the task, and others may:)".to_owned());
        lines.extend(reference.calls.iter().map(shown));
        lines.extend(
            reference
                .answer
                .iter()
                .map(|answer| format!("(with this answer:) {answer}")),
        );
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{call, episode};
    use hone_trace::{Outcome, Score, ScorePart};
    use std::collections::BTreeSet;

    #[test]
    fn classes_are_told_apart_and_asked_about_one_by_one() {
        for taxonomy in &TAXONOMIES {
            assert_eq!(Taxonomy::named(taxonomy.name).unwrap().source, taxonomy.source);
            let names: BTreeSet<_> = taxonomy.classes.iter().map(|class| class.name).collect();
            let asked = taxonomy.questions(&episode("t", Outcome::PolicyFailed), None, None);
            let statements: BTreeSet<_> = asked.iter().map(|question| &question.statement).collect();
            assert_eq!(
                (names.len(), statements.len()),
                (taxonomy.classes.len(), taxonomy.classes.len())
            );
        }
        let sizes = TAXONOMIES.iter().map(|taxonomy| taxonomy.classes.len());
        assert_eq!(sizes.collect::<Vec<_>>(), [4, 3, 11]);
        assert!(Taxonomy::named("tau3").is_none());
    }

    #[test]
    fn a_judge_reads_all_that_was_said_and_the_reference_where_the_source_shows_it() {
        let mut failed = episode("t", Outcome::PolicyFailed);
        let mut result = call(None);
        result.shown = "C7, active".into();
        failed.tool_calls = vec![result];
        failed.turns = vec![
            Turn::System {
                text: "be brief".into(),
            },
            Turn::User {
                text: "who is it?".into(),
            },
            Turn::Tool { tool_call: 0 },
        ];
        let part = |value, why: &str| ScorePart {
            name: "answer".into(),
            value,
            why: why.into(),
        };
        failed.scores = vec![Score {
            scorer: "s".into(),
            version: "1".into(),
            hash: "h".into(),
            value: 0.0,
            parts: vec![part(0.0, "it was C8"), part(1.0, "short")],
        }];
        let reference = Reference {
            calls: vec![crate::as_call(&call(None))],
            answer: Some("C8".into()),
            ..Reference::default()
        };
        let plain = "system: be brief\nuser: who is it?\ntool: C7, active\n(the end: answered; the task failed)\n\
            (scored 0 for answer: it was C8)";
        let subject = |name| {
            let told = Some("you are Mia");
            let asked = Taxonomy::named(name)
                .unwrap()
                .questions(&failed, Some(&reference), told);
            asked[0].subject.clone()
        };
        assert_eq!(subject("fama"), plain);
        let all = format!(
            "(the user was told:)\nyou are Mia\n(this is what was said and done:)\n{plain}\n(these calls solve the task, and others may:)\nget()\n(with this answer:) C8"
        );
        assert_eq!(subject("tau"), all);
        assert_eq!(
            Taxonomy::named("tau")
                .unwrap()
                .faults(&failed, Some(&reference), Some("you are Mia"))[0]
                .subject,
            all
        );
    }

    #[test]
    fn what_is_nobodys_fault_is_the_environments_and_only_the_agents_have_classes() {
        for taxonomy in &TAXONOMIES {
            let agents = taxonomy.parties.iter().filter(|party| party.name == AGENT).count();
            assert_eq!(agents, usize::from(!taxonomy.parties.is_empty()), "{}", taxonomy.name);
        }
        let tau = Taxonomy::named("tau").unwrap();
        for (answers, who, classed) in [
            ([true, false], vec!["user"], false),
            ([false, true], vec!["agent"], true),
            ([true, true], vec!["user", "agent"], true),
            ([false, false], vec!["environment"], false),
        ] {
            assert_eq!((tau.at_fault(&answers), tau.classed(&answers)), (who, classed));
        }
        assert!(Taxonomy::named("fama").unwrap().classed(&[]));
    }

    /// Ten episodes: of eight, which the rules give a class that FAMA has, they say three times that the task was left
    /// incomplete, and so does the judge, twice of the same. By hand: p_o = 6/8, p_e = (3² + 5²)/8² = 34/64, κ = 7/15.
    #[test]
    fn agreement_is_over_what_both_speak_of() {
        let fama = Taxonomy::named("fama").unwrap();
        let of = |rule, incomplete: bool| Reading {
            rule,
            judge: vec![!incomplete, false, false, incomplete],
        };
        let readings = [
            of(Incomplete, true),
            of(Incomplete, true),
            of(Incomplete, false),
            of(PolicyViolation, true),
            of(PolicyViolation, false),
            of(PolicyViolation, false),
            of(Misread, false),
            of(Hallucination, false),
            of(FailureClass::Limit, true),
            of(FailureClass::Other, false),
        ];
        let counts = fama.beside_rules(&readings);
        assert_eq!((counts[3].judge, counts[3].rule, counts[3].both), (4, Some(3), Some(2)));
        assert!((counts[3].cohen_kappa.unwrap() - 7.0 / 15.0).abs() < 1e-12);
        // Nobody ever says so: no agreement beyond chance can be told.
        assert_eq!(
            (counts[1].judge, counts[1].rule, counts[1].cohen_kappa),
            (0, Some(0), None)
        );
        // No rule speaks of wrong order.
        let tau2 = Taxonomy::named("tau2").unwrap();
        let order = &tau2.beside_rules(&[Reading {
            rule: Incomplete,
            judge: vec![true; 11],
        }])[10];
        assert_eq!((order.judge, order.rule, order.cohen_kappa), (1, None, None));
    }
}
