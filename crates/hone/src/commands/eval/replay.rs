//! The final state of a recorded episode, by playing its calls again in a fresh environment.

use hone_env::{Split, Taskset};
use hone_tool::{ApprovalPolicy, Asked, Rules, ToolRequest, Toolset, Truncation, dispatch};
use hone_trace::Episode;
use serde_json::Value;
use std::time::Duration;

/// The state as JSON. `None` where the task is not there any more, the environment cannot be reset, or the calls do not lead
/// to the state that is recorded (as where a user or the clock had a part in it).
pub(super) fn final_state(taskset: &dyn Taskset, split: Split, episode: &Episode) -> Option<Value> {
    let index = episode.task.rsplit('/').next()?.parse().ok()?;
    let task = taskset.task(split, index).ok().filter(|task| task.id == episode.task)?;
    let mut environment = taskset.environment(&task);
    environment.reset(&task).ok()?;
    let toolset = Toolset::compile(environment.specs()).ok()?;
    let budget = taskset.budget();
    let rules = Rules {
        toolset: &toolset,
        approval: &ApprovalPolicy::AllowAll,
        timeout: Duration::from_millis(budget.tool_timeout_ms),
        max_shown_chars: 0,
        truncation: Truncation::Head,
        max_schema_chars: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .ok()?;
    for call in episode.tool_calls.iter().filter(|call| call.approval.passed()) {
        let request = ToolRequest {
            id: call.id,
            model_call: None,
            raw: String::new(),
            asked: Asked::Call {
                tool: call.tool.clone(),
                arguments: call.arguments.clone(),
            },
        };
        environment = runtime.block_on(dispatch(environment, request, &rules, None)).host?;
    }
    (environment.state_hash().is_some() && environment.state_hash() == episode.final_state).then(|| environment.state())
}
