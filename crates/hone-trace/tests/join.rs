//! Joining model calls to training sequences: the peers' differential fixture, a toy template with everything that
//! templates and harnesses do to a history, and properties.

use hone_trace::{
    BreakReason, Episode, FinishReason, JoinReport, Joined, Joining, Lineage, ModelCall, Origin, Prompt, Span, Stream,
    TokenId, sample,
};
use proptest::prelude::*;

/// Records calls as a proxy would: the parent is the call with which the prompt has the most in common.
struct Recorder {
    episode: Episode,
}

impl Recorder {
    fn new() -> Self {
        let mut episode = sample::episode(&Stream::new(0), "rl/1/0/0", 1);
        episode.turns.clear();
        episode.model_calls.clear();
        Self { episode }
    }

    fn call(&mut self, prompt: &[TokenId], output: &[TokenId]) -> &mut ModelCall {
        let sequences = (0..self.episode.model_calls.len() as u32).map(|id| (id, self.episode.sequence(id).unwrap()));
        let shared = |ids: &[TokenId]| ids.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let parent = sequences
            .map(|(id, ids)| (shared(&ids), id))
            .max()
            .filter(|(shared, _)| *shared > 0);
        let held = parent.map_or(0, |(shared, _)| shared);
        let id = self.episode.model_calls.len() as u32;
        let logprobs = output.iter().map(|token| -0.5 - *token as f32 / 1000.0).collect();
        let mut call = sample::episode(&Stream::new(0), "x", 1).model_calls.remove(0);
        call = ModelCall {
            id,
            parent: parent.map(|(_, id)| id),
            retry_of: None,
            lineage: Lineage::Main,
            prompt: Prompt {
                shared: held as u32,
                new: prompt[held..].to_vec(),
            },
            output: output.to_vec(),
            origins: vec![Span {
                start: 0,
                end: output.len() as u32,
                value: Origin::Sampled,
            }],
            logprobs,
            sampled_logprobs: Vec::new(),
            entropies: Vec::new(),
            top_logprobs: Vec::new(),
            versions: vec![Span {
                start: 0,
                end: output.len() as u32,
                value: 3,
            }],
            finish: FinishReason::Stop,
            ..call
        };
        if output.is_empty() {
            call.origins.clear();
            call.versions.clear();
        }
        self.episode.model_calls.push(call);
        self.episode.model_calls.last_mut().unwrap()
    }

    fn exact(&self) -> Joined {
        Joining::ExactPrefix.join(&self.episode, |_| true).unwrap()
    }

    fn splice(&self) -> Joined {
        Joining::PromptTipSplice { end_of_turn: vec![END] }
            .join(&self.episode, |_| true)
            .unwrap()
    }
}

fn calls(joined: &Joined) -> Vec<Vec<u32>> {
    joined
        .segments
        .iter()
        .map(|segment| segment.calls.iter().map(|span| span.call).collect())
        .collect()
}

fn reasons(joined: &Joined) -> Vec<(u32, BreakReason)> {
    joined
        .breaks
        .iter()
        .map(|broken| (broken.call, broken.reason))
        .collect()
}

fn mask(joined: &Joined, segment: usize) -> String {
    let segment = &joined.segments[segment];
    segment.mask()[segment.prompt_len()..]
        .iter()
        .map(|bit| if *bit { '1' } else { '0' })
        .collect()
}

fn response(joined: &Joined, segment: usize) -> &[TokenId] {
    &joined.segments[segment].ids[joined.segments[segment].prompt_len()..]
}

/// End of turn, in the fixture and in the toy template.
const END: TokenId = 9;

// ---- The fixture ----

fn fixture() -> Recorder {
    let mut recorder = Recorder::new();
    recorder.call(&[1, 2, 3], &[4, 5, 9]);
    recorder.call(&[1, 2, 3, 4, 6, 9, 7, 8], &[5, 9]);
    recorder
}

#[test]
fn fixture_exact_prefix_gives_two_rows() {
    let joined = fixture().exact();
    assert_eq!(calls(&joined), [[0], [1]]);
    assert_eq!(reasons(&joined), [(1, BreakReason::TemplateDrift { call: 0, at: 4 })]);
    assert_eq!(joined.segments[1].ids, [1, 2, 3, 4, 6, 9, 7, 8, 5, 9]);
    assert_eq!(mask(&joined, 1), "11");
}

#[test]
fn fixture_splice_gives_one_row() {
    let joined = fixture().splice();
    assert_eq!(calls(&joined), [[0, 1]]);
    assert_eq!(response(&joined, 0), [4, 5, 9, 7, 8, 5, 9]);
    assert_eq!(mask(&joined, 0), "1110011");
    assert_eq!(joined.breaks, []);
    let segment = &joined.segments[0];
    assert_eq!(segment.drifted, [1], "the policy saw 6 where 5 stands");
    assert_eq!(
        segment.logprobs[3..],
        [-0.504, -0.505, -0.509, 0.0, 0.0, -0.505, -0.509]
    );
    assert_eq!(segment.versions[3..], [3, 3, 3, 0, 0, 3, 3]);
    assert!(segment.has_logprobs);
}

#[test]
fn fixture_truncated_answer_keeps_the_templates_end_as_context() {
    let mut recorder = Recorder::new();
    recorder.call(&[1, 2, 3], &[4, 5]).finish = FinishReason::Length;
    recorder.call(&[1, 2, 3, 4, 5, 9, 7], &[5, 9]);
    for joined in [recorder.exact(), recorder.splice()] {
        assert_eq!(calls(&joined), [[0, 1]]);
        assert_eq!(response(&joined, 0), [4, 5, 9, 7, 5, 9]);
        assert_eq!(mask(&joined, 0), "110011");
    }
}

// ---- The toy template: one token a letter; `<role`, content, END, and a separator that can be forgotten ----

const SYSTEM: TokenId = 1;
const USER: TokenId = 2;
const AGENT: TokenId = 3;
const TOOL: TokenId = 4;
const THINK: TokenId = 5;
const ANSWER: TokenId = 6;
const NEWLINE: TokenId = 10;

fn text(text: &str) -> Vec<TokenId> {
    text.bytes().map(|byte| 100 + TokenId::from(byte)).collect()
}

fn turn(role: TokenId, content: &str) -> Vec<TokenId> {
    [vec![role], text(content), vec![END, NEWLINE]].concat()
}

/// What the agent samples after `AGENT`.
fn said(content: &str) -> Vec<TokenId> {
    [text(content), vec![END]].concat()
}

fn prompt(turns: &[Vec<TokenId>]) -> Vec<TokenId> {
    [turns.concat(), vec![AGENT]].concat()
}

fn opening() -> Vec<TokenId> {
    [turn(SYSTEM, "shop"), turn(USER, "refund")].concat()
}

#[test]
fn a_stripped_reasoning() {
    let mut recorder = Recorder::new();
    let thought = [vec![THINK], text("hmm"), vec![ANSWER], said("get")].concat();
    recorder.call(&prompt(&[opening()]), &thought);
    recorder.call(
        &prompt(&[opening(), turn(AGENT, "get"), turn(TOOL, "12")]),
        &said("done"),
    );
    recorder.call(
        &prompt(&[
            opening(),
            turn(AGENT, "get"),
            turn(TOOL, "12"),
            turn(AGENT, "done"),
            turn(USER, "ty"),
        ]),
        &said("bye"),
    );
    let at = prompt(&[opening()]).len() as u32;
    let joined = recorder.exact();
    assert_eq!(calls(&joined), [vec![0], vec![1, 2]]);
    assert_eq!(reasons(&joined), [(1, BreakReason::TemplateDrift { call: 0, at })]);
    let joined = recorder.splice();
    assert_eq!(calls(&joined), [[0, 1, 2]]);
    assert_eq!(joined.segments[0].drifted, [1, 2]);
    // The sampled reasoning stays; the re-rendered answer goes.
    let whole = [
        prompt(&[opening()]),
        thought,
        vec![NEWLINE],
        turn(TOOL, "12"),
        vec![AGENT],
        said("done"),
    ]
    .concat();
    assert_eq!(joined.segments[0].ids[..whole.len()], whole);
}

#[test]
fn b_reordered_arguments() {
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get b=1 a=2"));
    recorder.call(
        &prompt(&[opening(), turn(AGENT, "get a=2 b=1"), turn(TOOL, "12")]),
        &said("done"),
    );
    let joined = recorder.exact();
    assert_eq!(calls(&joined), [[0], [1]]);
    let at = prompt(&[opening()]).len() as u32 + 4;
    assert_eq!(reasons(&joined), [(1, BreakReason::TemplateDrift { call: 0, at })]);
    assert_eq!(calls(&recorder.splice()), [[0, 1]]);
}

#[test]
fn c_missing_separator() {
    // The framework puts the tool's turn right after the sampled end of turn, without the template's newline. That is
    // what the policy saw, so that is what it is trained on.
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get"));
    let second = [prompt(&[opening()]), said("get"), turn(TOOL, "12"), vec![AGENT]].concat();
    recorder.call(&second, &said("done"));
    for joined in [recorder.exact(), recorder.splice()] {
        assert_eq!(calls(&joined), [[0, 1]]);
        assert_eq!(joined.segments[0].ids, [second.clone(), said("done")].concat());
        assert!(joined.segments[0].drifted.is_empty());
    }
}

#[test]
fn d_parallel_results_in_one_turn() {
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get;get"));
    recorder.call(
        &prompt(&[opening(), turn(AGENT, "get;get"), turn(TOOL, "12;13")]),
        &said("done"),
    );
    for joined in [recorder.exact(), recorder.splice()] {
        assert_eq!(calls(&joined), [[0, 1]]);
        assert_eq!(joined.breaks, []);
        assert_eq!(joined.segments[0].sampled(), said("get;get").len() + said("done").len());
    }
}

#[test]
fn e_truncated_turn() {
    // Continued as it stood: the template ends the turn.
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &text("get 1")).finish = FinishReason::Length;
    recorder.call(
        &prompt(&[opening(), turn(AGENT, "get 1"), turn(USER, "go on")]),
        &said("get 12"),
    );
    for joined in [recorder.exact(), recorder.splice()] {
        assert_eq!(calls(&joined), [[0, 1]]);
        let start = prompt(&[opening()]).len();
        let end = start + text("get 1").len();
        assert_eq!(joined.segments[0].ids[end], END);
        assert_eq!(
            joined.segments[0].origins[start..=end],
            [[Origin::Sampled; 5].as_slice(), &[Origin::Rendered]].concat()
        );
    }
    // Replaced by a remark of the harness.
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &text("get 1")).finish = FinishReason::Length;
    recorder.call(
        &prompt(&[opening(), turn(AGENT, "(cut)"), turn(USER, "go on")]),
        &said("get 12"),
    );
    let at = prompt(&[opening()]).len() as u32;
    assert_eq!(
        reasons(&recorder.exact()),
        [(1, BreakReason::TruncatedTurn { call: 0, at })]
    );
}

#[test]
fn f_compaction() {
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get"));
    recorder.call(
        &prompt(&[opening(), turn(AGENT, "get"), turn(TOOL, "12")]),
        &said("buy"),
    );
    recorder.call(
        &prompt(&[turn(SYSTEM, "shop"), turn(USER, "so far: got 12")]),
        &said("done"),
    );
    let at = turn(SYSTEM, "shop").len() as u32 + 1;
    for joined in [recorder.exact(), recorder.splice()] {
        assert_eq!(calls(&joined), [vec![0, 1], vec![2]]);
        assert_eq!(reasons(&joined), [(2, BreakReason::Compacted { at })]);
    }
    // An old observation is shortened in place, and the conversation goes on after it.
    let mut recorder = Recorder::new();
    let before = [opening(), turn(AGENT, "get")].concat();
    let after = [turn(AGENT, "buy"), turn(TOOL, "bought, and a long receipt follows")].concat();
    recorder.call(&prompt(&[opening()]), &said("get"));
    recorder.call(&prompt(&[before.clone(), turn(TOOL, "12")]), &said("buy"));
    let call = recorder.call(&prompt(&[before.clone(), turn(TOOL, "(cut)"), after]), &said("done"));
    (call.parent, call.prompt.shared) = (Some(1), before.len() as u32 + 1);
    call.prompt.new = prompt(&[before.clone(), turn(TOOL, "(cut)"), turn(AGENT, "buy")])[before.len() + 1..].to_vec();
    let at = before.len() as u32 + 1;
    assert_eq!(reasons(&recorder.exact()), [(2, BreakReason::Rewritten { at })]);
}

fn interleaved(tagged: bool) -> Recorder {
    let mut recorder = Recorder::new();
    let other = [turn(USER, "you search"), turn(USER, "find it")].concat();
    let tag = |call: &mut ModelCall| {
        if tagged {
            call.lineage = Lineage::SubAgent("search".into());
        }
    };
    recorder.call(&prompt(&[opening()]), &said("a1"));
    tag(recorder.call(&prompt(std::slice::from_ref(&other)), &said("b1")));
    recorder.call(&prompt(&[opening(), turn(AGENT, "a1"), turn(TOOL, "x")]), &said("a2"));
    tag(recorder.call(&prompt(&[other, turn(AGENT, "b1"), turn(TOOL, "y")]), &said("b2")));
    recorder
}

#[test]
fn g_interleaved_sub_agents() {
    for recorder in [interleaved(true), interleaved(false)] {
        for joined in [recorder.exact(), recorder.splice()] {
            assert_eq!(calls(&joined), [[0, 2], [1, 3]]);
            assert_eq!(reasons(&joined), [(1, BreakReason::NewLineage)]);
        }
    }
    // A sub-agent that inherits its parent's context does not take its parent's segment away.
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("a1"));
    let context = [opening(), turn(AGENT, "a1"), turn(TOOL, "x")];
    recorder.call(&prompt(&context), &said("b1")).lineage = Lineage::SubAgent("search".into());
    recorder.call(&prompt(&context), &said("a2"));
    assert_eq!(calls(&recorder.exact()), [vec![0, 2], vec![1]]);
    assert_eq!(mask(&recorder.exact(), 1), "111");
}

#[test]
fn h_duplicate_retry_is_trained_once() {
    // A retry that gave another answer, which the harness went on with.
    let next = |recorder: &mut Recorder, answer: &str| {
        recorder.call(
            &prompt(&[opening(), turn(AGENT, answer), turn(TOOL, "12")]),
            &said("done"),
        );
    };
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get"));
    recorder.call(&prompt(&[opening()]), &said("buy")).retry_of = Some(0);
    next(&mut recorder, "buy");
    for joined in [recorder.exact(), recorder.splice()] {
        assert_eq!(calls(&joined), [[1, 2]]);
        assert_eq!(reasons(&joined), [(0, BreakReason::Retried { kept: 1 })]);
    }
    // The first answer came through after all.
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get"));
    recorder.call(&prompt(&[opening()]), &said("buy")).retry_of = Some(0);
    recorder.call(&prompt(&[opening()]), &[]).retry_of = Some(1);
    next(&mut recorder, "get");
    for joined in [recorder.exact(), recorder.splice()] {
        assert_eq!(calls(&joined), [[0, 3]]);
        let left_out = [(1, BreakReason::Retried { kept: 0 }), (2, BreakReason::NoOutput)];
        assert_eq!(reasons(&joined), left_out);
    }
    // Nobody said that it was a retry: the same answer to the same prompt.
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get"));
    recorder.call(&prompt(&[opening()]), &said("get"));
    next(&mut recorder, "get");
    for joined in [recorder.exact(), recorder.splice()] {
        assert_eq!(calls(&joined), [[0, 2]]);
        assert_eq!(reasons(&joined), [(1, BreakReason::Duplicate { of: 0 })]);
    }
    // Nothing follows: the last attempt counts.
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get"));
    recorder.call(&prompt(&[opening()]), &said("buy")).retry_of = Some(0);
    assert_eq!(calls(&recorder.exact()), [[1]]);
}

// ---- Beyond the list ----

#[test]
fn a_fork_trains_the_shared_answer_once() {
    let mut recorder = Recorder::new();
    let after = [opening(), turn(AGENT, "get")];
    recorder.call(&prompt(&[opening()]), &said("get"));
    recorder.call(&prompt(&[after.concat(), turn(TOOL, "12")]), &said("left"));
    recorder.call(&prompt(&[after.concat(), turn(TOOL, "47")]), &said("right"));
    recorder.call(&prompt(&[opening()]), &said("other"));
    let joined = recorder.exact();
    assert_eq!(calls(&joined), [vec![0, 1], vec![2], vec![3]]);
    let forks = [
        (2, BreakReason::Forked { from: Some(0) }),
        (3, BreakReason::Forked { from: None }),
    ];
    assert_eq!(reasons(&joined), forks);
    assert_eq!(joined.segments[1].sampled(), said("right").len());
}

#[test]
fn a_splice_needs_the_end_of_turn() {
    let recorder = fixture();
    let joined = Joining::PromptTipSplice { end_of_turn: vec![77] }
        .join(&recorder.episode, |_| true)
        .unwrap();
    assert_eq!(calls(&joined), [[0], [1]]);
    assert_eq!(reasons(&joined), [(1, BreakReason::NoEndOfTurn { call: 0 })]);
}

#[test]
fn only_sampled_tokens_are_trained_and_missing_logprobs_are_said() {
    let mut recorder = Recorder::new();
    let call = recorder.call(&[1, 2], &[3, 4, 9]);
    call.origins = vec![
        Span {
            start: 0,
            end: 1,
            value: Origin::Teacher,
        },
        Span {
            start: 1,
            end: 2,
            value: Origin::Sampled,
        },
        Span {
            start: 2,
            end: 3,
            value: Origin::Forced,
        },
    ];
    call.versions = vec![Span {
        start: 0,
        end: 3,
        value: 8,
    }];
    call.sampled_logprobs = vec![-1.0, -2.0, -3.0];
    let segment = recorder.exact().segments.remove(0);
    assert_eq!(segment.mask(), [false, false, false, true, false]);
    assert_eq!(segment.logprobs, [0.0, 0.0, 0.0, -0.504, 0.0]);
    assert_eq!(segment.sampled_logprobs, [0.0, 0.0, 0.0, -2.0, 0.0]);
    assert_eq!(segment.versions, [0, 0, 0, 8, 0]);
    assert!(segment.has_logprobs);
    let call = &mut recorder.episode.model_calls[0];
    call.logprobs.clear();
    call.sampled_logprobs.clear();
    assert!(!recorder.exact().segments[0].has_logprobs);
}

#[test]
fn other_roles_can_be_left_out_and_are_never_joined() {
    let mut recorder = Recorder::new();
    recorder.call(&prompt(&[opening()]), &said("get"));
    recorder
        .call(&prompt(&[opening(), turn(AGENT, "get")]), &said("good"))
        .role = "judge".into();
    assert_eq!(calls(&recorder.exact()), [[0], [1]]);
    let joined = Joining::ExactPrefix
        .join(&recorder.episode, |call| call.role == "agent")
        .unwrap();
    assert_eq!(calls(&joined), [[0]]);
    assert_eq!(joined.breaks, []);
}

#[test]
fn the_report_counts() {
    let mut report = JoinReport::default();
    assert_eq!((report.merge_ratio(), report.masked_share()), (0.0, 0.0));
    report.add(&fixture().exact());
    report.add(&fixture().splice());
    assert_eq!(
        (report.calls, report.segments, report.sampled, report.masked),
        (4, 3, 10, 3 + 8 + 5)
    );
    assert_eq!(report.merge_ratio(), 4.0 / 3.0);
    assert_eq!(report.breaks, [("template_drift", 1)].into());
}

// ---- Properties ----

#[derive(Clone, Debug)]
enum Step {
    /// A new conversation.
    Begin,
    /// Another answer after that many tokens of context, from the call of that index (modulo).
    Continue(usize, usize),
    /// The same, with one token of the history changed.
    Drift(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<(Step, Vec<TokenId>)>> {
    let step = prop_oneof![
        1 => Just(Step::Begin),
        6 => (0..20usize, 0..4usize).prop_map(|(from, context)| Step::Continue(from, context)),
        2 => (0..20usize, 0..40usize).prop_map(|(from, at)| Step::Drift(from, at)),
    ];
    prop::collection::vec((step, prop::collection::vec(7..12u32, 0..5)), 1..14)
}

fn record(steps: &[(Step, Vec<TokenId>)]) -> Recorder {
    let mut recorder = Recorder::new();
    for (step, output) in steps {
        let count = recorder.episode.model_calls.len();
        let history = |from: usize| {
            recorder
                .episode
                .sequence((from % count.max(1)) as u32)
                .unwrap_or_default()
        };
        let mut prompt = match step {
            Step::Begin => vec![1],
            Step::Continue(from, context) => [history(*from), vec![2; *context]].concat(),
            Step::Drift(from, at) => {
                let mut ids = history(*from);
                let length = ids.len().max(1);
                ids.get_mut(at % length).into_iter().for_each(|id| *id += 100);
                ids
            }
        };
        if prompt.is_empty() {
            prompt.push(1);
        }
        recorder.call(&prompt, output);
    }
    recorder
}

fn check(recorder: &Recorder, joined: &Joined) -> Result<(), TestCaseError> {
    let episode = &recorder.episode;
    let mut seen = vec![0; episode.model_calls.len()];
    for segment in &joined.segments {
        let mut sampled = vec![false; segment.len()];
        for span in &segment.calls {
            let call = &episode.model_calls[span.call as usize];
            let range = span.start as usize..span.end as usize;
            prop_assert_eq!(&segment.ids[range.clone()], &call.output[..]);
            prop_assert_eq!(&segment.logprobs[range.clone()], &call.logprobs[..]);
            sampled[range].fill(true);
            seen[span.call as usize] += 1;
        }
        prop_assert_eq!(segment.mask(), sampled);
        for (token, mask) in segment.mask().into_iter().enumerate() {
            prop_assert!(mask || (segment.logprobs[token] == 0.0 && segment.sampled_logprobs[token] == 0.0));
        }
    }
    for broken in joined.breaks.iter().filter(|broken| broken.reason.left_out()) {
        seen[broken.call as usize] += 1;
    }
    prop_assert!(seen.iter().all(|times| *times == 1), "each call once: {:?}", seen);
    // Each segment but the first has its reason.
    let opened = joined.breaks.iter().filter(|broken| !broken.reason.left_out()).count();
    prop_assert_eq!(opened, joined.segments.len().saturating_sub(1));
    Ok(())
}

proptest! {
    #[test]
    fn exact_prefix_keeps_what_was_served(steps in steps()) {
        let recorder = record(&steps);
        let joined = recorder.exact();
        check(&recorder, &joined)?;
        for segment in &joined.segments {
            let last = segment.calls.last().unwrap();
            prop_assert_eq!(&segment.ids, &recorder.episode.sequence(last.call).unwrap());
            prop_assert!(segment.drifted.is_empty());
        }
        // A call is never left alone while its prompt continues the end of an open segment of its time.
        for broken in joined.breaks.iter().filter(|broken| !broken.reason.left_out()) {
            let ids = recorder.episode.sequence(broken.call).unwrap();
            let own = recorder.episode.model_calls[broken.call as usize].output.len();
            for segment in &joined.segments {
                if segment.calls.last().unwrap().call < broken.call {
                    prop_assert!(!ids[..ids.len() - own].starts_with(&segment.ids));
                }
            }
        }
    }

    #[test]
    fn splice_trains_every_answer_once(steps in steps()) {
        let recorder = record(&steps);
        check(&recorder, &recorder.splice())?;
    }
}
