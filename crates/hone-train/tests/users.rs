//! Tasks with simulated users in training: what is learnt from such an episode.

use async_trait::async_trait;
use hone_env::{Budget, EnvError, Environment, ScriptInfo, SimulatedUser, Split, Task, Taskset};
use hone_harness::Dialogue;
use hone_model::{AgentTurn, Completion, Conversation, Model, ModelError, Request, Script, Scripted, train_tokenizer};
use hone_rollout::{Hooks, Job, Player, Rollout, ToolSource, UserPlayer};
use hone_tool::{ApprovalPolicy, ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::{Episode, Origin, SamplingSettings, Score, Span, Stream};
use serde_json::{Value, json};
use std::sync::Arc;

/// A talk without tools.
struct Talk;

impl ToolHost for Talk {
    fn specs(&self) -> &[ToolSpec] {
        &[]
    }

    fn call(&mut self, tool: &str, _: &Value) -> Result<ToolOutput, ToolError> {
        Err(ToolError::tool(format!("no {tool}")))
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for Talk {
    fn reset(&mut self, _: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }
}

impl Taskset for Talk {
    fn name(&self) -> &str {
        "talk"
    }

    fn about(&self) -> &'static str {
        "A talk."
    }

    fn len(&self, _: Split) -> Option<u64> {
        Some(1)
    }

    fn task(&self, _: Split, _: u64) -> Result<Task, EnvError> {
        Ok(Task {
            id: "train/0".into(),
            kind: "talk".into(),
            system: Some("Be kind.".into()),
            instruction: "Ask how it goes.".into(),
            seed: 0,
            data: json!({}),
        })
    }

    fn environment(&self, _: &Task) -> Box<dyn Environment> {
        Box::new(Talk)
    }

    fn user(&self, task: &Task) -> Option<SimulatedUser> {
        Some(SimulatedUser {
            instructions: task.instruction.clone(),
            cue: Some("Hi!".into()),
            stop: vec!["###STOP###".into()],
            ..SimulatedUser::default()
        })
    }

    fn budget(&self) -> Budget {
        Budget::default()
    }

    fn score(&self, _: &Task, _: &Episode, _: &dyn Environment) -> Score {
        Score {
            scorer: "talk".into(),
            version: "1".into(),
            hash: String::new(),
            value: 1.0,
            parts: vec![],
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        &[]
    }

    fn script(&self, _: &str, _: &Task, _: &Stream) -> Option<Box<dyn Script>> {
        None
    }
}

/// A script whose tokens are recorded as sampled, as those of a model are.
struct Sampled(Scripted);

#[async_trait]
impl Model for Sampled {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        let mut completion = self.0.complete(conversation, request).await?;
        let call = &mut completion.call;
        call.origins = vec![Span {
            start: 0,
            end: call.output.len() as u32,
            value: Origin::Sampled,
        }];
        call.logprobs = vec![-0.5; call.output.len()];
        Ok(completion)
    }
}

#[test]
fn only_the_policys_own_tokens_are_trained_on() {
    let codec = Arc::new(train_tokenizer(["how does it go well enough and you I am fine"; 8], 400).unwrap());
    let player = |name: &'static str, said: &[&str]| {
        let (codec, turns): (_, Vec<_>) = (
            codec.clone(),
            said.iter().map(|text| AgentTurn::Say((*text).into())).collect(),
        );
        Player::PerEpisode(Arc::new(move |_, _, _| {
            Arc::new(Sampled(Scripted::turns(
                name,
                turns.clone(),
                "it is over",
                codec.clone(),
            ))) as Arc<dyn Model>
        }))
    };
    let sampling = SamplingSettings {
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
        max_tokens: 0,
        stream: String::new(),
        ..SamplingSettings::default()
    };
    let rollout = Rollout {
        taskset: Arc::new(Talk),
        player: player("policy", &["well enough, and you", "fine"]),
        user: Some(UserPlayer {
            player: player("user", &["how does it go", "I am fine", "###STOP###"]),
            sampling: sampling.clone(),
        }),
        judge: None,
        harness: Arc::new(Dialogue),
        budget: Talk.budget(),
        sampling,
        approval: Arc::new(ApprovalPolicy::AllowAll),
        tools: ToolSource::default(),
        forking: None,
        seed: 1,
        phase: "rl/0".into(),
        concurrency: 1,
    };
    let job = Job {
        split: Split::Train,
        index: 0,
        group: 0,
        samples: 0..1,
    };
    let episode = rollout.run(&[job], Hooks::default()).unwrap().remove(0);
    assert!(episode.succeeded(), "{:?}", episode.outcome);
    let by = |role: &str| {
        episode
            .model_calls
            .iter()
            .filter(|call| call.role == role)
            .collect::<Vec<_>>()
    };
    assert_eq!((by("agent").len(), by("user").len()), (2, 3));
    let learnt = hone_train::rollout(&episode).unwrap();
    let [row] = learnt.rows.as_slice() else {
        panic!("{} rows", learnt.rows.len())
    };
    row.check("rl/0/0/0", 0).unwrap();
    let masked = row
        .ids
        .iter()
        .zip(&row.mask)
        .filter(|(_, mask)| **mask)
        .map(|(id, _)| *id);
    let own: Vec<_> = by("agent").iter().flat_map(|call| call.output.clone()).collect();
    assert_eq!(masked.collect::<Vec<_>>(), own);
    assert_eq!(episode.sampled_tokens() as usize, own.len());
    // What the user said is read, and not learnt.
    let text = codec.decode(&row.ids);
    for said in ["how does it go", "I am fine"] {
        assert!(text.contains(said), "{text}");
    }
    assert!(
        !text.contains("Ask how it goes"),
        "the policy never sees what the user is told: {text}"
    );
}
