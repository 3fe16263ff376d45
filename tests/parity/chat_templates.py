"""Do published chat templates give the same ids here and in `transformers`, with tools?

    .venv/bin/python tests/parity/chat_templates.py DIR

DIR holds chat templates as `NAME.jinja`: those of models/templates in llama.cpp, which PyPI's source package of
llama-cpp-python carries. Each of those in WANTED gets a tokenizer with the special tokens that occur in it; conversations
with and without tools, calls, results and a system message are rendered by `transformers` and by
`hone_model::PublishedCodec` (example `ids`), and the ids compared. A conversation that a template refuses must be
refused by both.

Exit status 0: all agree.
"""

import datetime
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from our_examples import ask
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils


# Name of the file and the token that ends a turn.
WANTED = {
    "Qwen-Qwen2.5-7B-Instruct": "<|im_end|>",
    "Qwen-Qwen3-0.6B": "<|im_end|>",
    "Qwen-QwQ-32B": "<|im_end|>",
    "Qwen3-Coder": "<|im_end|>",
    "meta-llama-Llama-3.1-8B-Instruct": "<|eot_id|>",
    "meta-llama-Llama-3.2-3B-Instruct": "<|eot_id|>",
    "meta-llama-Llama-3.3-70B-Instruct": "<|eot_id|>",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": "<|im_end|>",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": "<|im_end|>",
    "mistralai-Mistral-Nemo-Instruct-2407": "</s>",
    "HuggingFaceTB-SmolLM3-3B": "<|im_end|>",
    "ibm-granite-granite-3.3-2B-Instruct": "<|end_of_text|>",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "microsoft-Phi-3.5-mini-instruct": "<|end|>",
    "google-gemma-2-2b-it": "<end_of_turn>",
}
SPECIAL = re.compile(r"<\|[^|<>{} ]+\|>|<\uff5c[^<>]+?\uff5c>|<(?:start|end)_of_turn>|\[/?[A-Z_]{3,}\]|</?s>")

# Keys in the order in which ours are shown: type, description, enum, properties, items, then by name.
TOOLS = [
    {"name": "get_weather", "description": "The weather at a place, in \u00b0C or \"\u00b0F\".",
     "inputSchema": {"type": "object", "properties": {
         "place": {"type": "string", "description": "A city, such as Paris"},
         "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, "required": ["place"]}},
    {"name": "now", "description": "The time.", "inputSchema": {"type": "object", "properties": {}}},
]
CALL = {"name": "get_weather", "arguments": {"place": "Z\u00fcrich <b>", "unit": "celsius"}}
OTHER = {"name": "now", "arguments": {}}


def agent(content, *calls):
    return {"agent": {"calls": {"content": content, "calls": list(calls)}}}


TALKS = [
    [{"user": "Hi there!"}],
    [{"system": "Be brief."}, {"user": "Hi"}, {"agent": {"say": "Hello."}}, {"user": "  And\n you? "}],
    [{"user": "Weather?"}, agent("", CALL), {"tool": "22.0"}],
    [{"system": "Be brief."}, {"user": "Weather?"}, agent("", CALL), {"tool": '{"t": 22}'}, {"agent": {"say": "22 degrees"}},
     {"user": "Thanks, and now?"}],
    [{"user": "Both"}, agent("I look.", CALL, OTHER), {"tool": "22.0"}, {"tool": "noon"}],
]


def theirs(messages: list) -> list:
    """The same messages in the form of OpenAI's Chat Completions."""
    out, asked, answered = [], 0, 0
    for message in messages:
        (role, content), = message.items()
        if role == "agent" and "say" in content:
            out.append({"role": "assistant", "content": content["say"]})
        elif role == "agent":
            answered, calls = asked, []
            for call in content["calls"]["calls"]:
                asked += 1
                calls.append({"id": f"call{asked:05}", "type": "function",
                              "function": {"name": call["name"], "arguments": dict(call["arguments"])}})
            out.append({"role": "assistant", "content": content["calls"]["content"], "tool_calls": calls})
        elif role == "tool":
            answered += 1
            out.append({"role": "tool", "content": content, "tool_call_id": f"call{answered:05}"})
        else:
            out.append({"role": role, "content": content})
    return out


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def model(folder: Path, template: str, end: str):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = sorted(set(SPECIAL.findall(template)) | {end, "<bos>"})
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<bos>", "eos_token": end, "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token=end, chat_template=template)


def main(folder: Path) -> int:
    chat_template_utils.datetime = Clock
    functions = [{"type": "function", "function": {"name": tool["name"], "description": tool["description"],
                                                   "parameters": tool["inputSchema"]}} for tool in TOOLS]
    bad = 0
    for name, end in WANTED.items():
        template = (folder / f"{name}.jinja").read_text()
        lines, wanted = [], []
        with tempfile.TemporaryDirectory() as place:
            tokenizer = model(Path(place), template, end)
            for talk in TALKS:
                for tools in (False, True):
                    lines.append({"messages": talk, "tools": TOOLS if tools else []})
                    try:
                        text = tokenizer.apply_chat_template(theirs(talk), tools=functions if tools else None, tokenize=False,
                                                             add_generation_prompt=True)
                        wanted.append((text, tokenizer(text, add_special_tokens=False)["input_ids"]))
                    except TypeError:  # a template for tools that runs over Python's None; here it runs over nothing
                        lines.pop()
                    except Exception as error:  # what a template raises
                        wanted.append((f"refused: {error}", None))
            try:
                ours = ask("hone-model", "ids", [place], lines)
            except (subprocess.CalledProcessError, AssertionError):
                bad += 1
                print(f"{name}: the example failed")
                continue
        # Tools and calls that a template has no place for are told in words here; there they are lost.
        probe = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tools=functions, tokenize=False)
        knows = "get_weather" in probe
        compared = refused = 0
        for line, got, (text, ids) in zip(lines, ours, wanted):
            if not knows and (line["tools"] or any("tool" in message for message in line["messages"])):
                continue
            compared += 1
            refused += ids is None
            if got.get("ids") != ids:
                bad += 1
                print(f"{name}, {json.dumps(line['messages'])[:90]}, {len(line['tools'])} tools:\n  ours   {got.get('text', got)!r}\n"
                      f"  theirs {text!r}", file=sys.stderr)
        print(f"{name}: {compared} conversations, {refused} of them refused by both{'' if knows else ', without a place for tools'}")
    print(f"{len(WANTED)} templates, {bad} differences")
    return bad


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1])) else 0)
