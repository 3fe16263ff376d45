"""Is a GGUF file the same model here and in `transformers`?

    .venv/bin/python tests/parity/gguf_files.py FILE.gguf

Needs the PyPI packages of requirements.txt beside this file, `gguf` and `accelerate`. `transformers` reads the same file into float32.
Compared:

* every kind of block: numbers of random blocks, `gguf.quants.dequantize` against `hone_gguf` (example `blocks`);
* ids of texts, and of conversations by the file's chat template (example `ids` of hone-model);
* logits after prompts within 1e-3 of their range, and greedy text of 20 prompts (example `continue` of hone-engine): equal,
  or at the first difference the two ids are as likely as each other to within that tolerance.

Exit status 0: all agree.
"""

import random
import sys
from pathlib import Path

import gguf
import numpy
import torch
from our_examples import ask
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

TOLERANCE = 1e-3
STEPS = 40

PROMPTS = [
    "What is the capital of France?", "Name three colours.", "Write a haiku about rain.", "What is 12 times 12?",
    "Explain gravity to a child.", "Who wrote Hamlet?", "Translate 'good morning' into Spanish.", "List the planets.",
    "What is photosynthesis?", "Give me a recipe for pancakes.", "Why is the sky blue?", "What is a prime number?",
    "Tell me a joke.", "How do I boil an egg?", "What is the largest ocean?", "Describe a cat.", "What year did WW2 end?",
    "What is Rust?", "Finish the sentence: Once upon a time", "Is 17 prime? Answer yes or no.",
]
TEXTS = ["", " ", "Hello, world!", "  two  spaces\n\n\ttab\r\n", "1234567890 -3.5e7", "don't I'LL we've A_b-c/d\\e \"q\"",
         "\u00fcn\u00efc\u00f6d\u00e9 \u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u8a9e \u0645\u0631\u062d\u0628\u0627 \U0001f980",
         "def f(x):\n    return x ** 2\n"]


def blocks() -> int:
    """Random blocks, with scales that are finite."""
    rng, lines, wanted = numpy.random.default_rng(0), [], []
    for kind in ("Q4_0", "Q4_1", "Q8_0", "Q6_K"):
        quant = gguf.GGMLQuantizationType[kind]
        numbers, size = gguf.GGML_QUANT_SIZES[quant]
        data = rng.integers(0, 256, (64, size), dtype=numpy.uint8)
        halves = rng.normal(size=(64, 2)).astype(numpy.float16).view(numpy.uint8)
        data[:, -2:] = halves[:, :2]  # Q6_K's scale stands last
        if kind != "Q6_K":
            data[:, :2] = halves[:, :2]
        if kind == "Q4_1":
            data[:, 2:4] = halves[:, 2:]
        lines.append({"kind": kind.replace("_K", "K"), "bytes": data.reshape(-1).tolist()})
        wanted.append(gguf.quants.dequantize(data, quant).reshape(-1))
    answers = ask("hone-gguf", "blocks", [], lines)
    bad = sum(not numpy.array_equal(numpy.array(ours, dtype=numpy.float32), theirs) for ours, theirs in zip(answers, wanted))
    print(f"{len(lines)} kinds of blocks, {bad} differences")
    return bad


def main(path: Path) -> int:
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    bad = blocks()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    # Its conversion leaves out what the file says of cutting text: SmolLM2's own tokenizer.json cuts digits one by one.
    if gguf.GGUFReader(path).fields["tokenizer.ggml.pre"].contents() == "smollm":
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    rng = random.Random(0)
    letters = [chr(c) for c in range(32, 127)] + [" "] * 20 + list("eeetttaaa0123456789\n\t")
    texts = TEXTS + ["".join(rng.choice(letters) if rng.random() < 0.9 else chr(rng.randrange(161, 0xD800)) for _ in range(60))
                     for _ in range(300)]
    differences = 0
    for text, ours in zip(texts, ask("hone-model", "ids", [path], [{"text": text} for text in texts])):
        differences += ours["ids"] != tokenizer(text, add_special_tokens=False)["input_ids"]
    talks = [[{"user": prompt}] for prompt in PROMPTS]
    talks.append([{"system": "Be brief."}, {"user": "Hi"}, {"agent": {"say": "Hello."}}, {"user": "And you?"}])
    rows = []
    for talk, ours in zip(talks, ask("hone-model", "ids", [path], [{"messages": talk} for talk in talks])):
        roles = {"agent": "assistant"}
        messages = [{"role": roles.get(role, role), "content": said["say"] if role == "agent" else said}
                    for message in talk for role, said in message.items()]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        differences += ours["ids"] != tokenizer(text, add_special_tokens=False)["input_ids"]
        rows.append(ours["ids"])
    print(f"{len(texts)} texts and {len(talks)} conversations, {differences} differences")
    bad += differences

    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    worst = 0.0
    for ids, ours in zip(rows[:5], ask("hone-engine", "logprobs", [path], rows[:5])):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        spread = (logits.max() - logits.min()).item()
        worst = max(worst, (logits - torch.tensor(ours["logits"])).abs().max().item() / spread)
    print(f"logits differ by at most {worst:.1e} of their range")
    bad += worst > TOLERANCE

    rows, equal = rows[:20], 0
    for ids, ours in zip(rows, ask("hone-engine", "continue", [path, STEPS], rows)):
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                                 max_new_tokens=STEPS, min_new_tokens=STEPS, eos_token_id=None, repetition_penalty=1.0)
        theirs = out[0, len(ids):].tolist()
        if ours == theirs:
            equal += 1
            continue
        at = next(i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b)
        with torch.no_grad():
            logits = model(torch.tensor([ids + theirs[:at]])).logits[0, -1]
        gap = (logits[theirs[at]] - logits[ours[at]]).item() / (logits.max() - logits.min()).item()
        print(f"first difference at id {at}, where the two are {gap:.1e} of the range apart")
        bad += gap > TOLERANCE
    print(f"{equal} of {len(rows)} greedy answers of {STEPS} ids equal")
    return bad


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1])) else 0)
