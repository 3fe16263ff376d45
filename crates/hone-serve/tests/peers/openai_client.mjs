// OpenAI's package for JavaScript at our server: what it sees, as JSON. Arguments: the folder of packages, the
// server's address.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, address] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/package.json`));
const { OpenAI } = require("openai");

const client = new OpenAI({ baseURL: address, apiKey: "none", maxRetries: 0 });
const asked = { model: "nano", messages: [{ role: "user", content: "the order of a user" }], seed: 3, max_tokens: 24 };
const seen = { models: [] };
for await (const model of await client.models.list()) seen.models.push(model.id);

const words = (content, calls) =>
  (content ?? "") + calls.map(([name, text]) => ` ${name}(${JSON.stringify(JSON.parse(text))})`).join("");
const whole = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 3, return_token_ids: true });
const [choice] = whole.choices;
const called = (choice.message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]);
seen.whole = words(choice.message.content, called);
seen.logprobs = choice.logprobs.content.length;
seen.top = choice.logprobs.content[0].top_logprobs.length;
seen.token_ids = choice.token_ids.length;

let content = "";
const calls = [];
const options = { stream: true, stream_options: { include_usage: true } };
for await (const chunk of await client.chat.completions.create({ ...asked, ...options })) {
  for (const { delta } of chunk.choices) {
    content += delta.content ?? "";
    for (const call of delta.tool_calls ?? []) {
      if (call.function.name) calls.push([call.function.name, ""]);
      calls[call.index][1] += call.function.arguments ?? "";
    }
  }
  if (chunk.usage) seen.usage = chunk.usage.completion_tokens;
}
seen.streamed = words(content, calls);

const plain = { model: "nano", prompt: "the order", seed: 3, max_tokens: 16 };
seen.completed = (await client.completions.create(plain)).choices[0].text;
seen.completion_streamed = "";
for await (const chunk of await client.completions.create({ ...plain, stream: true })) {
  seen.completion_streamed += chunk.choices[0].text;
}

const wrong = async (change) => client.chat.completions.create({ ...asked, ...change }).catch((error) => error);
const missing = await wrong({ model: "other" });
[seen.missing_status, seen.missing_code] = [missing.status, missing.code];
const refused = await wrong({ top_p: 7 });
[seen.wrong_status, seen.wrong_param] = [refused.status, refused.param];

console.log(JSON.stringify(seen));
