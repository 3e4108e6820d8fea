// The tool that the tiny model learns to call.
export const tools = [{
  type: "function",
  function: {
    name: "get_weather",
    description: "the weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city"] },
  },
}];
