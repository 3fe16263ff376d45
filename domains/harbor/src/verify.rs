//! Grading: the task's tests in a sandbox of their own.

use crate::task::{Directory, quoted};
use crate::world::{exports, session};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hone_sandbox::{Call, Error, Interpreter, Outcome, Session};
use serde_json::Value;

/// Largest file of a reward.
const MAX_REWARD: u64 = 1 << 20;
/// Most numbers of a reward.
const MAX_PARTS: usize = 64;
/// Where tests wait until they are in their place; no file of the agent's may lie there.
const STAGE: &str = ".harbor-stage";

/// What the tests said.
pub struct Verdict {
    pub reward: f64,
    /// Further numbers, by name.
    pub others: Vec<(String, f64, String)>,
    pub why: String,
}

fn nothing(why: impl Into<String>) -> Verdict {
    Verdict {
        reward: 0.0,
        others: Vec::new(),
        why: why.into(),
    }
}

/// Grades the working folder that `state` holds.
///
/// # Errors
/// When the sandbox fails, which is nobody's doing.
pub fn verify(interpreter: &Interpreter, directory: &Directory, state: &Value) -> Result<Verdict, String> {
    if let Some(lost) = state["lost"].as_str() {
        return Err(format!("the agent's sandbox was lost: {lost}"));
    }
    if let Some(why) = state["refused"].as_str() {
        return Ok(nothing(why));
    }
    let Some(files) = state["files"].as_object() else {
        return Err("there is no final state".to_owned());
    };
    let plain = |error: Error| error.to_string();
    let mut session = session(interpreter, directory, directory.verifier_seconds).map_err(plain)?;
    // Fresh from the task's directory, and into their place before anything of the agent's is there.
    for (path, bytes) in &directory.tests {
        session.put(&format!("{STAGE}/{path}"), bytes).map_err(plain)?;
    }
    let place = format!(
        "rm -rf /tmp/tests /tmp/logs && mv /work/{STAGE} /tmp/tests && mkdir -p /tmp/logs/verifier && test -f /tests/test.sh"
    );
    run(&mut session, &place)?.map_err(|why| format!("the tests could not be put into their place: {why}"))?;
    for (path, text) in files {
        let bytes = text.as_str().and_then(|text| STANDARD.decode(text).ok());
        let Some(bytes) = bytes else { continue };
        match session.put(path, &bytes) {
            Ok(()) | Err(Error::Spec(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let executable: Vec<String> = state["executable"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|path| Some(quoted(&format!("/work/{}", path.as_str()?))))
        .collect();
    for paths in executable.chunks(100) {
        // A file that could not be put is not there.
        let _ = run(&mut session, &format!("chmod u+x {}", paths.join(" ")))?;
    }
    let code = format!(
        "{}{}cd /app; bash /tests/test.sh; echo \"[test.sh ended with status $?]\"",
        exports(&directory.env),
        exports(&directory.verifier_env)
    );
    let said = match run(&mut session, &code)? {
        Ok(said) => said,
        Err(why) => return Ok(nothing(format!("the verifier was ended: {why}"))),
    };
    // A link would lead to a file that is no reward.
    let take = "for f in json txt; do r=/logs/verifier/reward.$f; [ -f $r ] && [ ! -L $r ] && cp $r /work/.harbor-reward.$f; done; true";
    run(
        &mut session,
        "rm -rf /work/.harbor-reward.json /work/.harbor-reward.txt",
    )?
    .map_err(|why| format!("no reward could be read: {why}"))?;
    run(&mut session, take)?.map_err(|why| format!("no reward could be read: {why}"))?;
    let mut read = |kind: &str| match session.get(&format!(".harbor-reward.{kind}"), MAX_REWARD) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(Error::Spec(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let tail: String = said
        .chars()
        .rev()
        .take(300)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    Ok(match (read("json")?, read("txt")?) {
        (Some(text), _) => of_json(&text, &tail),
        (None, Some(text)) => match text.trim().parse::<f64>() {
            Ok(reward) if reward.is_finite() => Verdict {
                reward,
                others: Vec::new(),
                why: tail,
            },
            _ => nothing(format!("reward.txt holds no finite number; {tail}")),
        },
        (None, None) => nothing(format!("the verifier wrote no reward; {tail}")),
    })
}

/// A number, or an object of numbers of which `reward` is the score.
fn of_json(text: &str, tail: &str) -> Verdict {
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite());
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(map)) => match map.get("reward").and_then(number) {
            Some(reward) => Verdict {
                reward,
                others: map
                    .iter()
                    .filter(|(name, _)| *name != "reward")
                    .filter_map(|(name, value)| Some((name.chars().take(100).collect(), number(value)?, String::new())))
                    .take(MAX_PARTS)
                    .collect(),
                why: tail.to_owned(),
            },
            None => nothing(format!("reward.json has no finite number `reward`; {tail}")),
        },
        Ok(value) => match number(&value) {
            Some(reward) => Verdict {
                reward,
                others: Vec::new(),
                why: tail.to_owned(),
            },
            None => nothing(format!("reward.json holds no finite number; {tail}")),
        },
        Err(_) => nothing(format!("reward.json is no JSON; {tail}")),
    }
}

/// Runs a script. The outer error is the sandbox's, the inner one the script's.
fn run(session: &mut Session, code: &str) -> Result<Result<String, String>, String> {
    let call = Call {
        code,
        ..Call::default()
    };
    let reply = session.call(&call).map_err(|error| error.to_string())?;
    let said = reply.output.text();
    Ok(match reply.outcome {
        Outcome::Ok { status: None | Some(0) } => Ok(said),
        Outcome::Ok { status: Some(status) } => Err(format!("status {status}; {said}")),
        outcome => Err(format!("{outcome:?}")),
    })
}
