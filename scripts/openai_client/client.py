"""OpenAI's Python client against temper serve: its models of answers are stricter.

usage: python client.py URL
"""
import asyncio
import json
import sys

from openai import AsyncOpenAI, AuthenticationError, BadRequestError, OpenAI

url = sys.argv[1]
key = "open-sesame"
client = OpenAI(base_url=url, api_key=key, max_retries=0)
model = client.models.list().data[0].id
tools = json.loads(open("rows.jsonl", encoding="utf-8").readline())["tools"]
answer = "北京 is a city, one of many: é, 你, 🌍. The end."


def user(text):
    return [{"role": "user", "content": text}]


def create(text="Where is 北京?", **more):
    return client.chat.completions.create(**{"model": model, "messages": user(text), "temperature": 0, **more})


r = create(logprobs=True, top_logprobs=2)
assert r.choices[0].message.content == answer
assert bytes(b for t in r.choices[0].logprobs.content for b in t.bytes).decode() == answer
assert "".join(k.choices[0].delta.content or "" for k in create(stream=True)) == answer

r = create("Is Zürich big?", extra_body={"thinking": {"type": "enabled"}})
assert (r.choices[0].message.reasoning_content, r.choices[0].message.content) == ("Zürich is big.", "Yes.")

message = create("Weather in Zürich?", tools=tools).choices[0].message
call = message.tool_calls[0]
assert json.loads(call.function.arguments) == {"city": "Zürich", "days": 3}
result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
r = create(messages=user("Weather in Zürich?") + [message, result], tools=tools)
assert r.choices[0].message.content == "It is rain in Zürich."
with client.chat.completions.stream(model=model, messages=user("Weather in 北京?"), temperature=0, tools=tools) as s:
    assert any(e.type == "tool_calls.function.arguments.done" for e in s)
    call = s.get_final_completion().choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "北京", "days": 3}

r = client.completions.create(model=model, prompt="Where", seed=1, max_tokens=5, logprobs=2)
assert len(r.choices[0].logprobs.tokens) == len(r.choices[0].logprobs.top_logprobs) > 0

try:
    create(n=0)
    raise AssertionError("n of 0 is taken")
except BadRequestError as e:
    assert e.param == "n"
try:
    OpenAI(base_url=url, api_key="no", max_retries=0).models.list()
    raise AssertionError("a stranger is served")
except AuthenticationError as e:
    assert e.code == "invalid_api_key"


async def many():
    """The same seed in a crowd."""
    c = AsyncOpenAI(base_url=url, api_key=key, max_retries=8)
    return await asyncio.gather(*[
        c.chat.completions.create(model=model, messages=user("Where is x?"), seed=5, temperature=1.5, max_tokens=30) for _ in range(40)
    ])


assert len({r.choices[0].message.content for r in asyncio.run(many())}) == 1
print("ok   the same with Python's client")
