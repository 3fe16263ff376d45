//! The tasksets, played in conversation: baselines, equal states, what the user is told, scores and defects.

mod common;

use hone_env::{Split, Taskset};
use hone_harness::{Dialogue, Harness, React};
use hone_model::{Codec, Scripted, train_tokenizer};
use hone_rollout::{Hooks, Job, Player, Rollout, ToolSource, UserPlayer};
use hone_tau::evaluate::{Run, evaluate, gold_actions, gold_messages};
use hone_tau::taskset::{DEFECTS, DefectKind, Selection, Tau2, simulation};
use hone_tau::toolkit::Side;
use hone_tool::ApprovalPolicy;
use hone_trace::{EndReason, Episode, Outcome, SamplingSettings};
use std::sync::Arc;

fn taskset(name: &str) -> Option<Arc<Tau2>> {
    let folder = common::folder()?;
    let selection = Selection::of(name).unwrap();
    let parts = folder.join("../tau-bench/airline");
    Some(Arc::new(Tau2::load(&folder, &parts, selection).unwrap()))
}

fn player(taskset: &Arc<Tau2>, codec: &Arc<Codec>, name: &'static str, user: bool) -> Player {
    let (taskset, codec) = (taskset.clone(), codec.clone());
    Player::PerEpisode(Arc::new(move |task, _, stream| {
        let script = match user {
            true => taskset.user_script(name, task, stream),
            false => taskset.script(name, task, stream),
        };
        Arc::new(Scripted::new(name, script.unwrap(), codec.clone()))
    }))
}

fn play(taskset: &Arc<Tau2>, script: &'static str) -> Vec<Episode> {
    let texts = [
        "{\"name\":\"get\",\"arguments\":{}}",
        "Hi! How can I help you today? ###STOP###",
    ];
    let codec = Arc::new(train_tokenizer(texts, 400).unwrap());
    let sampling = SamplingSettings {
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        max_tokens: 0,
        stream: String::new(),
        ..SamplingSettings::default()
    };
    let dialogue = !taskset.user_scripts().is_empty();
    let harness: Arc<dyn Harness> = if dialogue { Arc::new(Dialogue) } else { Arc::new(React) };
    let rollout = Rollout {
        taskset: taskset.clone(),
        player: player(taskset, &codec, script, false),
        user: dialogue.then(|| UserPlayer {
            player: player(taskset, &codec, "plain", true),
            sampling: sampling.clone(),
        }),
        judge: None,
        harness,
        budget: taskset.budget(),
        sampling,
        approval: Arc::new(ApprovalPolicy::AllowAll),
        tools: ToolSource::default(),
        forking: None,
        seed: 1,
        phase: "t".into(),
        concurrency: 4,
    };
    let jobs: Vec<Job> = (0..taskset.len(Split::Test).unwrap())
        .map(|index| Job {
            split: Split::Test,
            index,
            group: index,
            samples: 0..1,
        })
        .collect();
    let episodes = rollout.run(&jobs, Hooks::default()).unwrap();
    episodes.iter().for_each(|episode| episode.check().unwrap());
    episodes
}

fn passed(episodes: &[Episode]) -> usize {
    episodes.iter().filter(|episode| episode.succeeded()).count()
}

fn failed(episodes: &[Episode]) -> Vec<(&str, &Outcome, EndReason, String)> {
    let failed = episodes.iter().filter(|episode| !episode.succeeded());
    failed
        .map(|episode| {
            let parts = episode.scores.iter().flat_map(|score| &score.parts);
            let why = parts.map(|part| format!("{} {}: {}", part.name, part.value, part.why));
            (
                episode.task.as_str(),
                &episode.outcome,
                episode.end,
                why.collect::<Vec<_>>().join("; "),
            )
        })
        .collect()
}

#[test]
fn reference_solutions_pass_in_conversation_and_inaction_does_not() {
    for (name, idle) in [
        ("tau2:retail:db", Some("retail")),
        ("tau2:airline", Some("airline")),
        ("tau2:telecom:small", None),
    ] {
        let Some(taskset) = taskset(name) else { return };
        let all = taskset.tasks(Split::Test).len();
        let gold = play(&taskset, "gold");
        assert_eq!(passed(&gold), all, "{name}: {:#?}", failed(&gold));
        let known = DEFECTS
            .iter()
            .filter(|defect| defect.kind == DefectKind::InactionPasses && Some(defect.domain) == idle);
        let known: Vec<_> = known.flat_map(|defect| defect.tasks).collect();
        let mut expected: Vec<&str> = taskset.tasks(Split::Test).iter().map(|task| task.id.as_str()).collect();
        expected.retain(|task| known.contains(&task));
        let nothing = play(&taskset, "do_nothing");
        let passing: Vec<_> = nothing
            .iter()
            .filter(|e| e.succeeded())
            .map(|e| e.task.as_str())
            .collect();
        assert_eq!(passing, expected, "{name}");
        // What passes by inaction does not by the corrected rule, unless the reference solution calls nothing either.
        for episode in nothing.iter().filter(|episode| episode.succeeded()) {
            let task = taskset
                .tasks(Split::Test)
                .iter()
                .find(|task| task.id == episode.task)
                .unwrap();
            let strict = episode.scores[0]
                .parts
                .iter()
                .find(|part| part.name == "strict")
                .unwrap();
            assert_eq!(strict.value == 1.0, gold_actions(task).is_empty(), "{}", episode.task);
        }
        let chance = play(&taskset, "random");
        assert!(passed(&chance) <= expected.len() + all / 10, "{name}");
        assert!(chance.iter().any(|episode| !episode.tool_calls.is_empty()));
    }
}

#[test]
fn a_conversation_ends_in_the_state_of_the_reference_solution() {
    for name in ["tau2:retail:db", "tau2:telecom:small"] {
        let Some(taskset) = taskset(name) else { return };
        for (task, episode) in taskset.tasks(Split::Test).iter().zip(play(&taskset, "gold")) {
            let played = simulation(task, &episode);
            let plain = gold_messages(taskset.fresh(), task).unwrap();
            let hashes = |messages: &[hone_tau::message::Message]| {
                let mut world = taskset.fresh().fork();
                let strict = hone_tau::evaluate::Replay::Strict;
                hone_tau::evaluate::restore(&mut *world, task, messages, strict).unwrap();
                [Side::Assistant, Side::User].map(|side| world.hash(side))
            };
            assert_eq!(hashes(&played.messages), hashes(&plain), "{}", task.id);
            let reward = evaluate(taskset.fresh(), task, &Run::ended(&played.messages), None).unwrap();
            assert_eq!(reward.reward, episode.reward.unwrap(), "{}", task.id);
        }
    }
}

#[test]
fn assertions_in_words_are_never_passed_without_a_judge() {
    let Some(taskset) = taskset("tau2:retail") else { return };
    let gold = play(&taskset, "gold");
    for (task, episode) in taskset.tasks(Split::Test).iter().zip(&gold) {
        let posed = taskset.task(Split::Test, episode.group).unwrap();
        let asked = taskset.questions(&posed, episode, &*taskset.environment(&posed));
        match hone_tau::evaluate::needs_judge(task) {
            true => {
                assert!(!asked.is_empty() && asked[0].subject.contains("agent: Hi!"));
                let Outcome::InfraFailed { cause } = &episode.outcome else {
                    panic!("{} counts", task.id)
                };
                assert!(cause.contains("give a judge") && cause.contains(&task.id), "{cause}");
            }
            false => assert!(asked.is_empty() && episode.succeeded(), "{}", task.id),
        }
    }
    // Where the databases already fail, no judge can save the run: it counts.
    let nothing = play(&taskset, "do_nothing");
    let undecided = nothing.iter().filter(|episode| !episode.counts()).count();
    assert!(undecided < gold.iter().filter(|episode| !episode.counts()).count());
}

#[test]
fn alone_the_agent_has_both_sides_tools_and_ends_the_run() {
    let Some(taskset) = taskset("tau2:telecom:small:solo") else {
        return;
    };
    let gold = play(&taskset, "gold");
    assert_eq!(passed(&gold), gold.len(), "{:#?}", failed(&gold));
    assert!(gold.iter().all(|episode| episode.end == EndReason::Terminal));
    assert_eq!(passed(&play(&taskset, "do_nothing")), 0);
    assert!(taskset.user_scripts().is_empty());
}

#[test]
fn the_mock_domain_plays_histories_and_users_with_tools() {
    let Some(taskset) = taskset("tau2:mock:db") else { return };
    let gold = play(&taskset, "gold");
    let ids: Vec<_> = failed(&gold).iter().map(|failed| failed.0).collect();
    let known: Vec<_> = DEFECTS
        .iter()
        .filter(|defect| defect.domain == "mock" && defect.kind == DefectKind::GoldFails)
        .flat_map(|defect| defect.tasks.iter().copied())
        .collect();
    assert_eq!(ids, known, "{:#?}", failed(&gold));
}

#[test]
fn prompts_are_made_of_the_data_folder() {
    let Some(taskset) = taskset("tau2:telecom:small") else {
        return;
    };
    let folder = common::folder().unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let task = taskset.task(Split::Test, 0).unwrap();
    let system = task.system.clone().unwrap();
    assert!(
        system.contains(&read("telecom/main_policy.md")) && system.contains(&read("telecom/tech_support_manual.md"))
    );
    let user = taskset.user(&task).unwrap();
    assert!(
        user.instructions
            .starts_with(&read("user_simulator/simulation_guidelines_tools.md"))
    );
    assert!(
        user.instructions
            .contains("<scenario>\nInstructions:\n\tDomain: telecom\n")
    );
    assert!(taskset.check_user().is_ok());
    let Some(retail) = self::taskset("tau2:retail") else {
        return;
    };
    let user = retail.user(&retail.task(Split::Test, 0).unwrap()).unwrap();
    assert!(
        user.instructions
            .starts_with(&read("user_simulator/simulation_guidelines.md"))
    );
}

#[test]
fn names_select_or_are_refused() {
    for good in [
        "tau2:retail",
        "tau2:telecom:generated:solo:db",
        "tau2:mock:solo:protocol",
        "tau2:airline:split",
    ] {
        assert!(Selection::of(good).is_some(), "{good}");
    }
    for bad in [
        "tau2",
        "tau2:",
        "tau2:bank",
        "tau2:retail:solo",
        "tau2:retail:small",
        "tau2:mock:workflow",
        "tau:airline",
    ] {
        assert!(Selection::of(bad).is_none(), "{bad}");
    }
    let Some(split) = taskset("tau2:retail:split") else {
        return;
    };
    let Some(base) = taskset("tau2:retail") else { return };
    assert!(base.tasks(Split::Train).is_empty() && !base.tasks(Split::Test).is_empty());
    assert!(!split.tasks(Split::Train).is_empty());
    let train: Vec<_> = split.tasks(Split::Train).iter().map(|task| &task.id).collect();
    assert!(split.tasks(Split::Test).iter().all(|task| !train.contains(&&task.id)));
}
