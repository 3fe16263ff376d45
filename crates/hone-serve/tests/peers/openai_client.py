"""OpenAI's package for Python at our server: what it sees, as JSON. Argument: the server's address."""

import json
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
asked = {"model": "nano", "messages": [{"role": "user", "content": "the order of a user"}], "seed": 3, "max_tokens": 24}


def words(content, calls):
    return (content or "") + "".join(f" {name}({arguments})" for name, arguments in calls)


seen = {"models": [model.id for model in client.models.list()]}

whole = client.chat.completions.create(**asked, logprobs=True, top_logprobs=3, extra_body={"return_token_ids": True})
choice = whole.choices[0]
called = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []]
seen["whole"] = words(choice.message.content, called)
seen["logprobs"] = len(choice.logprobs.content)
seen["top"] = len(choice.logprobs.content[0].top_logprobs)
seen["token_ids"] = len(choice.model_extra["token_ids"])

parts, calls, usage = [], [], None
for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
    for choice in chunk.choices:
        parts.append(choice.delta.content or "")
        for call in choice.delta.tool_calls or []:
            if call.function.name:
                calls.append([call.function.name, ""])
            calls[call.index][1] += call.function.arguments or ""
    usage = chunk.usage or usage
seen["streamed"] = words("".join(parts), [(name, json.loads(arguments)) for name, arguments in calls])
seen["usage"] = usage.completion_tokens

plain = {"model": "nano", "prompt": "the order", "seed": 3, "max_tokens": 16}
seen["completed"] = client.completions.create(**plain).choices[0].text
seen["completion_streamed"] = "".join(chunk.choices[0].text for chunk in client.completions.create(**plain, stream=True))

try:
    client.chat.completions.create(**{**asked, "model": "other"})
except openai.NotFoundError as error:
    seen["missing_status"], seen["missing_code"] = error.status_code, error.code
try:
    client.chat.completions.create(**asked, top_p=7)
except openai.BadRequestError as error:
    seen["wrong_status"], seen["wrong_param"] = error.status_code, error.param

json.dump(seen, sys.stdout)
