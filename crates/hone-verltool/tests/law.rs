//! Trajectories that do not wait for each other against those that do, on a virtual clock.

use async_trait::async_trait;
use hone_verltool::{Generated, Generator, LoopSettings, Observed, Order, ToolServer, Trajectory, Wanted, rollout};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Writes an action for each latency that a trajectory has, then an answer; a letter is a token.
struct Scripted {
    /// Seconds of each generation and of each tool call, by trajectory and turn.
    latencies: BTreeMap<String, Vec<(u64, u64)>>,
    turn: Mutex<BTreeMap<String, usize>>,
    /// Trajectories whose tools hold something.
    open: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(latencies: &[&[(u64, u64)]]) -> Self {
        Self {
            latencies: (0..)
                .zip(latencies)
                .map(|(n, all)| (format!("t{n}"), all.to_vec()))
                .collect(),
            turn: Mutex::default(),
            open: Mutex::default(),
        }
    }
}

#[async_trait]
impl Generator for Scripted {
    async fn generate(&self, id: &str, _: &[u32], _: usize) -> Generated {
        let turn = self.turn.lock().unwrap().get(id).copied().unwrap_or(0);
        let latency = self.latencies[id].get(turn);
        if let Some((seconds, _)) = latency {
            sleep(Duration::from_secs(*seconds)).await;
        }
        let text = match latency {
            Some(_) => format!("act {turn}<stop>"),
            None => "done".to_owned(),
        };
        Generated {
            ids: self.encode(&text),
            text,
            finish_reason: "stop".to_owned(),
            stop_reason: latency.map(|_| "<stop>".to_owned()),
            ..Generated::default()
        }
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.chars().map(u32::from).collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        ids.iter().filter_map(|id| char::from_u32(*id)).collect()
    }
}

#[async_trait]
impl ToolServer for Scripted {
    async fn observe(&self, id: &str, action: &str, _: &Map<String, Value>) -> Observed {
        let turn = self.turn.lock().unwrap().get(id).copied().unwrap_or(0);
        assert_eq!(action, format!("act {turn}<stop>"));
        if turn == 0 {
            self.open.lock().unwrap().push(id.to_owned());
        }
        sleep(Duration::from_secs(self.latencies[id][turn].1)).await;
        self.turn.lock().unwrap().insert(id.to_owned(), turn + 1);
        Observed {
            obs: format!("saw {turn}"),
            done: false,
            valid: true,
        }
    }

    async fn finish(&self, id: &str) {
        self.open.lock().unwrap().retain(|other| other != id);
    }
}

async fn seconds(latencies: &[&[(u64, u64)]], order: Order) -> (u64, Vec<Trajectory>) {
    let both = Scripted::new(latencies);
    let settings = LoopSettings {
        action_stop_tokens: vec!["<stop>".to_owned()],
        ..LoopSettings::default()
    };
    let wanted = (0..latencies.len()).map(|n| Wanted {
        id: format!("t{n}"),
        prompt: vec![1, 2, 3],
        ..Wanted::default()
    });
    let start = Instant::now();
    let all = rollout(&settings, order, &both, &both, wanted.collect()).await;
    assert!(
        both.open.lock().unwrap().is_empty(),
        "the store is empty after all have finished"
    );
    (start.elapsed().as_secs(), all)
}

/// The example of the paper's figure: tools of 1 and 5 s, and of 5 and 1 s, after generations of 1 s.
#[tokio::test(start_paused = true)]
async fn the_worked_example_takes_eight_seconds_instead_of_twelve() {
    let latencies: [&[(u64, u64)]; 2] = [&[(1, 1), (1, 5)], &[(1, 5), (1, 1)]];
    let (free, one) = seconds(&latencies, Order::Async(1024)).await;
    let (barrier, other) = seconds(&latencies, Order::Barrier).await;
    assert_eq!((free, barrier), (8, 12));
    assert_eq!(one, other, "the order changes no trajectory");
}

/// `max_i Σ_k (g + t)` against `Σ_k (max_i g + max_i t)`, over many draws.
#[tokio::test(start_paused = true)]
async fn the_law_holds_for_any_latencies() {
    let mut state = 7_u64;
    let mut draw = |most: u64| {
        // Knuth's constants.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    for _ in 0..50 {
        let latencies: Vec<Vec<(u64, u64)>> = (0..1 + draw(6))
            .map(|_| (0..draw(5)).map(|_| (draw(4), draw(9))).collect())
            .collect();
        let all: Vec<&[(u64, u64)]> = latencies.iter().map(Vec::as_slice).collect();
        let alone = latencies
            .iter()
            .map(|turns| turns.iter().map(|(g, t)| g + t).sum::<u64>())
            .max()
            .unwrap_or(0);
        let waiting: u64 = (0..5)
            .map(|k| {
                let most = |of: fn(&(u64, u64)) -> u64| {
                    latencies
                        .iter()
                        .filter_map(|turns| turns.get(k).map(of))
                        .max()
                        .unwrap_or(0)
                };
                most(|(g, _)| *g) + most(|(_, t)| *t)
            })
            .sum();
        let (free, one) = seconds(&all, Order::Async(1024)).await;
        let (barrier, other) = seconds(&all, Order::Barrier).await;
        assert_eq!((free, barrier), (alone, waiting), "{latencies:?}");
        assert!(free <= barrier);
        assert_eq!(one, other);
        for (trajectory, turns) in one.iter().zip(&latencies) {
            assert_eq!(trajectory.stop_reason, "model_chose_to_finish");
            assert_eq!(trajectory.tool_calls as usize, turns.len());
            let lengths = [
                trajectory.response.len(),
                trajectory.mask.len(),
                trajectory.logprobs.len(),
            ];
            assert!(lengths.iter().all(|length| *length == lengths[0]));
        }
    }
    // With one place they come one after the other.
    let latencies: [&[(u64, u64)]; 2] = [&[(1, 1)], &[(1, 5)]];
    assert_eq!(seconds(&latencies, Order::Async(1)).await.0, 8);
}

/// One generation a trajectory, as given.
struct Fixed(Vec<Generated>, Mutex<Vec<String>>);

#[async_trait]
impl Generator for Fixed {
    async fn generate(&self, id: &str, _: &[u32], most: usize) -> Generated {
        let number: usize = id.parse().unwrap();
        let mut made = self.0[number].clone();
        made.ids = made.text.chars().map(u32::from).take(most).collect();
        made
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.chars().map(u32::from).collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        ids.iter().filter_map(|id| char::from_u32(*id)).collect()
    }
}

#[async_trait]
impl ToolServer for Fixed {
    async fn observe(&self, _: &str, action: &str, _: &Map<String, Value>) -> Observed {
        self.1.lock().unwrap().push(action.to_owned());
        Observed {
            obs: "seen".to_owned(),
            done: action.contains("last"),
            valid: true,
        }
    }

    async fn finish(&self, _: &str) {}
}

fn made(text: &str, finish: &str, stop: Option<&str>) -> Generated {
    Generated {
        text: text.to_owned(),
        finish_reason: finish.to_owned(),
        stop_reason: stop.map(str::to_owned),
        ..Generated::default()
    }
}

#[tokio::test(start_paused = true)]
async fn reasons_to_stop_are_the_originals() {
    let cases = [
        (made("an answer", "stop", None), "model_chose_to_finish", true, 0),
        (
            made(" \n", "stop", None),
            "model_chose_to_finish_with_empty_response",
            true,
            0,
        ),
        (
            made("a last<stop>", "stop", Some("<stop>")),
            "tool_signaled_done",
            true,
            1,
        ),
        (
            made("again<stop>", "stop", Some("<stop>")),
            "max_turns_reached",
            false,
            2,
        ),
        (
            made("x</s>", "stop", Some("</s>")),
            "no_action_stop_token_found_in_stop_reason=</s>",
            false,
            0,
        ),
        (made("never", "length", None), "max_response_length_reached", false, 0),
        (made("cut", "abort", None), "finish_reason_abort", true, 0),
        // The stop string was met, and the length too: the model's word counts.
        (
            made("x<stop>", "length", Some("<stop>")),
            "max_response_length_reached",
            false,
            0,
        ),
    ];
    let settings = LoopSettings {
        max_turns: 2,
        action_stop_tokens: vec!["<stop>".to_owned()],
        mask_overlong_loss: true,
        ..LoopSettings::default()
    };
    let fixed = Fixed(cases.iter().map(|case| case.0.clone()).collect(), Mutex::default());
    let wanted = (0..cases.len()).map(|n| Wanted {
        id: n.to_string(),
        ..Wanted::default()
    });
    let all = rollout(&settings, Order::Async(8), &fixed, &fixed, wanted.collect()).await;
    for (trajectory, (_, reason, finished, calls)) in all.iter().zip(&cases) {
        assert_eq!(
            (trajectory.stop_reason.as_str(), trajectory.finished),
            (*reason, *finished)
        );
        assert_eq!(trajectory.tool_calls, *calls, "{reason}");
        assert_eq!(
            trajectory.mask.contains(&1),
            *finished,
            "no loss on what was cut off: {reason}"
        );
        assert!(trajectory.mask.len() == trajectory.response.len());
    }
    assert!(fixed.1.lock().unwrap().iter().all(|action| action.ends_with("<stop>")));
    // No room for an action: nothing is generated any more.
    let tight = LoopSettings {
        max_response_length: 11,
        max_turns: 9,
        ..settings.clone()
    };
    let one = vec![Wanted {
        id: "3".to_owned(),
        ..Wanted::default()
    }];
    let cut = rollout(&tight, Order::Barrier, &fixed, &fixed, one).await;
    assert_eq!(cut[0].stop_reason, "max_model_len_exceeded");
    assert_eq!(cut[0].response.len(), 11);
    // Without a tool there is one generation.
    let alone = LoopSettings {
        use_tool: false,
        ..settings
    };
    let one = vec![Wanted {
        id: "3".to_owned(),
        ..Wanted::default()
    }];
    let all = rollout(&alone, Order::Barrier, &fixed, &fixed, one).await;
    assert_eq!((all[0].stop_reason.as_str(), all[0].turns), ("no_tool-stop", 1));
}
