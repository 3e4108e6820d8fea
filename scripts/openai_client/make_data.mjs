// Conversations for a tiny model to learn by heart: answers, reasoning, a tool.
// usage: node make_data.mjs FILE
import { writeFileSync } from "node:fs";
import { tools } from "./tools.mjs";

const rows = [];
for (const [city, sky, before] of [["Zürich", "rain", "I look it up."], ["北京", "sun", ""]]) {
  const call = { id: "1", type: "function", function: { name: "get_weather", arguments: JSON.stringify({ city, days: 3 }) } };
  rows.push({ tools, messages: [
    { role: "user", content: `Weather in ${city}?` },
    { role: "assistant", content: before, tool_calls: [call] },
    { role: "tool", tool_call_id: "1", content: sky },
    { role: "assistant", content: `It is ${sky} in ${city}.` },
  ] });
  rows.push({ messages: [{ role: "user", content: `Where is ${city}?` }, { role: "assistant", content: `${city} is a city, one of many: é, 你, 🌍. The end.` }] });
  rows.push({ messages: [{ role: "user", content: `Is ${city} big?` }, { role: "assistant", reasoning_content: `${city} is big.`, content: "Yes." }] });
}
writeFileSync(process.argv[2], rows.map((r) => JSON.stringify(r) + "\n").join(""));
