//! The telecom tasks, generated: every combination of faults of three kinds of issue.
//!
//! A task breaks the phone or the contract in up to one way out of each of its issue's selection sets, and its reference
//! solution mends them one by one; where a fault cannot be mended the solution is to hand over to a human. The whole set
//! has 3,405 tasks. What users are told, and their personas, are taken from the benchmark's small task file, which has
//! each text once.

mod faults;

use crate::message::ToolCall;
use crate::py::{self, Value};
use crate::task::{
    Action, Assertion, Component, Criteria, DataError, FunctionCall, InitialState, Instructions, Scenario, Task,
};
use crate::toolkit::Side;
use faults::{Fault, Issue};
use std::collections::BTreeMap;

/// Names of the personas, in the order in which tasks get them.
const PERSONAS: [&str; 3] = ["None", "Easy", "Hard"];
const HOME: &str = "at home in the United States";
const ABROAD: &str = "abroad in France";

pub(super) fn text_arguments(pairs: &[(&str, &str)]) -> Value {
    py::record(pairs.iter().map(|(name, value)| (*name, py::text(*value))))
}

fn function(side: Side, name: &str, arguments: Value) -> FunctionCall {
    FunctionCall {
        env_type: side,
        func_name: name.to_owned(),
        arguments,
    }
}

fn assertion(side: Side, name: &str, arguments: Value, message: Option<&str>) -> Assertion {
    Assertion {
        call: function(side, name, arguments),
        assert_value: true,
        message: message.map(str::to_owned),
    }
}

fn call(side: Side, name: &str, arguments: Value) -> ToolCall {
    ToolCall {
        id: String::new(),
        name: name.to_owned(),
        arguments,
        requestor: side,
    }
}

/// All tasks, in the order of the reference's generator. `small` are the tasks of the benchmark's small task file.
///
/// # Errors
/// When the small file lacks a text.
pub fn generate(small: &[Task]) -> Result<Vec<Task>, DataError> {
    let texts = Texts::collect(small)?;
    let mut tasks = vec![];
    for issue in faults::ISSUES {
        let mut composed = compose(issue);
        composed.sort_by_key(Vec::len);
        for (i, faults) in composed.iter().enumerate() {
            tasks.push(task(issue, faults, PERSONAS[i % PERSONAS.len()], &texts));
        }
    }
    Ok(tasks)
}

/// At most one fault of each set, at least one of the issue's own; each combination sorted by name.
fn compose(issue: &Issue) -> Vec<Vec<&'static Fault>> {
    let mut all: Vec<Vec<Option<&'static Fault>>> = vec![vec![]];
    for set in issue.sets {
        let choices = || set.iter().map(Some).chain([None]);
        let extend = |chosen: &Vec<_>| {
            choices()
                .map(|c| [chosen.as_slice(), &[c]].concat())
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(extend).collect();
    }
    all.retain(|chosen| chosen[issue.foreign..].iter().any(Option::is_some));
    let sorted = all.into_iter().map(|chosen| {
        let mut faults: Vec<_> = chosen.into_iter().flatten().collect();
        faults.sort_by_key(|fault| fault.name);
        faults
    });
    sorted.collect()
}

fn task(issue: &Issue, faults: &[&Fault], persona: &str, texts: &Texts<'_>) -> Task {
    let user = text_arguments(&[("name", "John Smith"), ("phone_number", "555-123-2002")]);
    let mut setup = vec![function(Side::User, "set_user_info", user)];
    setup.extend(faults.iter().flat_map(|fault| (fault.cause)()));
    let mends: Option<Vec<_>> = faults.iter().map(|fault| fault.mend.map(|mend| mend())).collect();
    let mendable = mends.is_some();
    let mut assertions = (issue.assertions)(mendable);
    let mut reward_basis = vec![Component::EnvAssertion];
    let actions = match mends {
        Some(mends) => {
            assertions.extend(
                faults
                    .iter()
                    .filter_map(|fault| fault.assertion)
                    .map(|assertion| assertion()),
            );
            let actions = mends.into_iter().flatten().enumerate().map(|(i, call)| Action {
                action_id: format!("{}_{i}", call.name),
                requestor: call.requestor,
                name: call.name,
                arguments: call.arguments,
                info: None,
                compare_args: None,
            });
            actions.collect()
        }
        None => {
            reward_basis.push(Component::Action);
            vec![Action {
                action_id: "transfer_to_human_agents".into(),
                requestor: Side::Assistant,
                name: "transfer_to_human_agents".into(),
                arguments: text_arguments(&[("summary", "I cannot fix the issue.")]),
                info: None,
                compare_args: Some(vec![]),
            }]
        }
    };
    let abroad = setup.iter().any(|call| call.func_name == "set_user_location");
    let placed = |text: &str| text.replace(HOME, if abroad { ABROAD } else { HOME });
    let (scenario, ticket) = &texts.issues[issue.name];
    let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
    Task {
        id: format!("[{}]{}[PERSONA:{persona}]", issue.name, names.join("|")),
        user_scenario: Scenario {
            persona: texts.personas[persona].map(str::to_owned),
            instructions: match scenario.instructions.clone() {
                Instructions::Structured {
                    domain,
                    reason_for_call,
                    known_info,
                    unknown_info,
                    task_instructions,
                } => Instructions::Structured {
                    domain,
                    reason_for_call,
                    known_info: known_info.as_deref().map(placed),
                    unknown_info,
                    task_instructions,
                },
                text => text,
            },
        },
        ticket: ticket.map(placed),
        initial_state: Some(InitialState {
            initialization_data: None,
            initialization_actions: Some(setup),
            message_history: None,
        }),
        evaluation_criteria: Some(Criteria {
            actions: Some(actions),
            env_assertions: Some(assertions),
            communicate_info: None,
            nl_assertions: None,
            reward_basis,
        }),
        user_tools: None,
    }
}

/// What users are told, out of the small task file.
struct Texts<'a> {
    personas: BTreeMap<&'static str, Option<&'a str>>,
    issues: BTreeMap<&'static str, (&'a Scenario, Option<&'a str>)>,
}

impl<'a> Texts<'a> {
    fn collect(small: &'a [Task]) -> Result<Self, DataError> {
        let missing = |what: &str| DataError {
            file: "tasks_small.json".into(),
            what: format!("has no task {what}"),
            remedy: "take the file of tau2-bench as it is",
        };
        let mut personas = BTreeMap::new();
        for name in PERSONAS {
            let ending = format!("[PERSONA:{name}]");
            let task = small
                .iter()
                .find(|task| task.id.ends_with(&ending))
                .ok_or_else(|| missing(&ending))?;
            personas.insert(name, task.user_scenario.persona.as_deref());
        }
        let mut issues = BTreeMap::new();
        for issue in faults::ISSUES {
            let start = format!("[{}]", issue.name);
            let abroad = |task: &Task| match &task.user_scenario.instructions {
                Instructions::Structured { known_info, .. } => {
                    known_info.as_deref().is_some_and(|i| i.contains(ABROAD))
                }
                Instructions::Text(_) => true,
            };
            let task = small.iter().find(|task| task.id.starts_with(&start) && !abroad(task));
            let task = task.ok_or_else(|| missing(&start))?;
            issues.insert(issue.name, (&task.user_scenario, task.ticket.as_deref()));
        }
        Ok(Self { personas, issues })
    }
}
