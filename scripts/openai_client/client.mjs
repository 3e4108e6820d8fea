// OpenAI's client against temper serve: what works with OpenAI must work here.
// usage: node client.mjs URL
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { tools } from "./tools.mjs";

const require = createRequire(process.cwd() + "/");
const { default: OpenAI } = await import(require.resolve("openai").replace(/\.js$/, ".mjs"));
const [baseURL] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "open-sesame", maxRetries: 0 });
const model = "client";
const user = (content) => [{ role: "user", content }];
const metric = async (name) => {
  const r = await fetch(baseURL.replace("/v1", "/metrics"), { headers: { Authorization: "Bearer open-sesame" } });
  return Number((await r.text()).split("\n").find((l) => l.startsWith(`temper_serve_${name}{} `)).split(" ")[1]);
};
let done = 0;
const test = async (name, f) => {
  await f();
  done++;
  console.log(`ok   ${name}`);
};

await test("models", async () => {
  const list = [];
  for await (const m of client.models.list()) list.push(m.id);
  assert.deepEqual(list, [model]);
  assert.equal((await client.models.retrieve(model)).id, model);
});

const answer = "北京 is a city, one of many: é, 你, 🌍. The end.";
await test("chat", async () => {
  const r = await client.chat.completions.create({ model, messages: user("Where is 北京?"), temperature: 0, seed: 3 });
  assert.equal(r.choices[0].message.content, answer);
  assert.equal(r.choices[0].finish_reason, "stop");
  assert.equal(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens);
  assert.equal(r.seed, 3);
});

await test("stream", async () => {
  const s = await client.chat.completions.create({ model, messages: user("Where is 北京?"), temperature: 0, stream: true, stream_options: { include_usage: true } });
  let text = "", parts = 0, usage, finish;
  for await (const c of s) {
    const d = c.choices[0]?.delta?.content ?? "";
    assert(!d.includes("\ufffd"), `half a character: ${JSON.stringify(d)}`);
    text += d;
    parts++;
    finish = c.choices[0]?.finish_reason ?? finish;
    usage = c.usage ?? usage;
  }
  assert.equal(text, answer);
  assert.equal(finish, "stop");
  assert(parts > 10 && usage.completion_tokens > 10);
});

await test("the same seed gives the same answers, whole or streamed, any other time", async () => {
  const q = { model, messages: user("x é x"), temperature: 2, max_completion_tokens: 40, n: 8, seed: 11, logprobs: true };
  const [a, b] = await Promise.all([client.chat.completions.create(q), client.chat.completions.create(q)]);
  const s = await client.chat.completions.stream(q).finalChatCompletion();
  const core = (r) => r.choices.map((c) => [c.message.content ?? "", c.logprobs.content.map((t) => [t.token, t.logprob])]);
  assert.deepEqual(core(a), core(b));
  assert.deepEqual(core(a), core(s));
  assert(new Set(core(a).map(([text]) => text)).size > 1, "all answers are one");
  const other = await client.chat.completions.create({ ...q, seed: undefined });
  assert.deepEqual(core(await client.chat.completions.create({ ...q, seed: other.seed })), core(other));
});

await test("stop texts across tokens", async () => {
  const r = await client.chat.completions.create({ model, messages: user("Where is 北京?"), temperature: 0, stop: ["y, one", "🌍. T"] });
  assert.equal(r.choices[0].message.content, "北京 is a cit");
  assert.equal(r.choices[0].finish_reason, "stop");
  const cut = await client.chat.completions.create({ model, messages: user("Where is 北京?"), temperature: 0, max_tokens: 2 });
  assert.equal(cut.choices[0].finish_reason, "length");
});

await test("log-probabilities with bytes", async () => {
  const r = await client.chat.completions.create({ model, messages: user("Where is 北京?"), temperature: 0, logprobs: true, top_logprobs: 5 });
  const list = r.choices[0].logprobs.content;
  assert.equal(Buffer.from(list.flatMap((t) => t.bytes)).toString(), answer);
  for (const t of list) {
    assert(t.logprob <= 0 && t.top_logprobs.length === 5);
    assert.equal(t.top_logprobs[0].logprob, t.logprob); // greedy
  }
});

await test("reasoning apart from the answer", async () => {
  const q = { model, messages: user("Is Zürich big?"), temperature: 0, reasoning_effort: "high" };
  const r = await client.chat.completions.create(q);
  assert.equal(r.choices[0].message.content, "Yes.");
  assert.equal(r.choices[0].message.reasoning_content, "Zürich is big.");
  assert(r.usage.completion_tokens_details.reasoning_tokens > 0);
  let reasoning = "", content = "";
  for await (const c of await client.chat.completions.create({ ...q, stream: true })) {
    reasoning += c.choices[0].delta.reasoning_content ?? "";
    content += c.choices[0].delta.content ?? "";
  }
  assert.deepEqual([reasoning, content], ["Zürich is big.", "Yes."]);
});

await test("a tool call", async () => {
  const r = await client.chat.completions.create({ model, messages: user("Weather in Zürich?"), tools, temperature: 0 });
  const [call] = r.choices[0].message.tool_calls;
  assert.equal(r.choices[0].finish_reason, "tool_calls");
  assert.equal(r.choices[0].message.content, "I look it up.");
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Zürich", days: 3 });
});

await test("a tool call in a stream", async () => {
  const s = client.chat.completions.stream({ model, messages: user("Weather in 北京?"), tools, temperature: 0 });
  const deltas = [];
  s.on("tool_calls.function.arguments.delta", (d) => deltas.push(d.arguments_delta));
  const r = await s.finalChatCompletion();
  const [call] = r.choices[0].message.tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "北京", days: 3 });
  assert(deltas.length > 2, "the arguments come in parts");
});

await test("tools are run by the client, and the answer uses them", async () => {
  const asked = [], before = await metric("shared_tokens_total");
  const runner = client.chat.completions.runTools({
    model, messages: user("Weather in Zürich?"), temperature: 0,
    tools: tools.map((t) => ({ type: "function", function: { ...t.function, parse: JSON.parse, function: (a) => { asked.push(a); return "rain"; } } })),
  });
  assert.equal(await runner.finalContent(), "It is rain in Zürich.");
  assert.deepEqual(asked, [{ city: "Zürich", days: 3 }]);
  // The second request goes on where the cache ends.
  assert((await metric("shared_tokens_total")) - before > 700, "nothing is shared");
});

await test("a demanded tool", async () => {
  const r = await client.chat.completions.create({ model, messages: user("Weather in 北京?"), tools, temperature: 0, tool_choice: { type: "function", function: { name: "get_weather" } } });
  assert.equal(r.choices[0].message.tool_calls[0].function.name, "get_weather");
  assert.deepEqual(JSON.parse(r.choices[0].message.tool_calls[0].function.arguments), { city: "北京", days: 3 });
});

await test("completions", async () => {
  const q = { model, prompt: ["Where", "Is"], max_tokens: 12, temperature: 1, seed: 2, logprobs: 3, echo: false, n: 2 };
  const r = await client.completions.create(q);
  assert.equal(r.choices.length, 4);
  assert.equal(r.choices[0].logprobs.tokens.length, r.choices[0].logprobs.text_offset.length);
  const texts = ["", "", "", ""];
  for await (const c of await client.completions.create({ ...q, stream: true })) texts[c.choices[0].index] += c.choices[0].text;
  assert.deepEqual(texts, r.choices.map((c) => c.text));
});

const fails = async (kind, f) => {
  try {
    await f();
  } catch (e) {
    assert(e instanceof kind, `${e.constructor.name}: ${e.message}`);
    return e;
  }
  assert.fail(`no ${kind.name}`);
};

await test("errors are the client's own", async () => {
  const create = (more) => () => client.chat.completions.create({ model, messages: user("hi"), max_tokens: 1, ...more });
  let e = await fails(OpenAI.BadRequestError, create({ n: 0 }));
  assert.equal(e.param, "n");
  e = await fails(OpenAI.BadRequestError, create({ logit_bias: { 5: 1 } }));
  assert.deepEqual([e.param, e.code], ["logit_bias", "unsupported_parameter"]);
  e = await fails(OpenAI.BadRequestError, create({ messages: user("x ".repeat(20000)) }));
  assert.equal(e.code, "context_length_exceeded");
  e = await fails(OpenAI.NotFoundError, create({ model: "gpt" }));
  assert.equal(e.code, "model_not_found");
  const stranger = new OpenAI({ baseURL, apiKey: "no", maxRetries: 0 });
  e = await fails(OpenAI.AuthenticationError, () => stranger.models.list());
  assert.equal(e.code, "invalid_api_key");
  e = await fails(OpenAI.APIError, create({ messages: user("x".repeat(100 << 20)) }));
  assert.equal(e.status, 413);
});

await test("an aborted stream frees what it held", async () => {
  const s = await client.chat.completions.create({ model, messages: user("x"), temperature: 2, max_tokens: 3000, n: 8, stream: true });
  for await (const _ of s) break; // leaving the loop aborts
  const c = new AbortController();
  const whole = client.chat.completions.create({ model, messages: user("x"), temperature: 2, max_tokens: 3000, n: 8 }, { signal: c.signal });
  setTimeout(() => c.abort(), 50);
  await fails(OpenAI.APIUserAbortError, () => whole);
  for (let i = 0; (await metric("running")) > 0; i++) {
    assert(i < 1000, "answers still run");
    await new Promise((r) => setTimeout(r, 10));
  }
  assert.equal(await metric("queue"), 0);
});

await test("too many at a time are told to come again, and the client does", async () => {
  const patient = new OpenAI({ baseURL, apiKey: "open-sesame", maxRetries: 8 });
  const q = { model, messages: user("Where is 北京?"), temperature: 0, n: 4 };
  const all = await Promise.all(Array.from({ length: 24 }, () => patient.chat.completions.create(q)));
  for (const r of all) for (const c of r.choices) assert.equal(c.message.content, answer);
});

console.log(`${done} tests passed`);
