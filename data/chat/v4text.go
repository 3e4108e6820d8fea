package chat

// The special tokens of DeepSeek-V4 that its encoding writes. The bars are
// U+FF5C and the blocks U+2581.
const (
	bosToken      = "<｜begin▁of▁sentence｜>"
	eosToken      = "<｜end▁of▁sentence｜>"
	userToken     = "<｜User｜>"
	assistToken   = "<｜Assistant｜>"
	reminderToken = "<｜latest_reminder｜>"
	thinkToken    = "<think>"
	thinkEndToken = "</think>"
	dsmlToken     = "｜DSML｜"
)

var taskTokens = map[Task]string{
	TaskAction:    "<｜action｜>",
	TaskQuery:     "<｜query｜>",
	TaskAuthority: "<｜authority｜>",
	TaskDomain:    "<｜domain｜>",
	TaskTitle:     "<｜title｜>",
	TaskReadURL:   "<｜read_url｜>",
}

// The fixed texts below are part of the published encoding: models were trained
// on exactly these bytes.

const effortAbsolute = `Reasoning Effort: Absolute maximum with no shortcuts permitted.
You MUST be very thorough in your thinking and comprehensively decompose the problem to resolve the root cause, rigorously stress-testing your logic against all potential paths, edge cases, and adversarial scenarios.
Explicitly write out your entire deliberation process, documenting every intermediate step, considered alternative, and rejected hypothesis to ensure absolutely no assumption is left unchecked.

`

const effortBeyond = `Reasoning Effort: Beyond maximum — exhaustive, relentless, and uncompromising.
You MUST reason with the utmost depth and rigor, leaving absolutely nothing to chance: exhaustively decompose the problem into its most fundamental components, trace every causal chain to its root, and resolve the underlying cause rather than any surface symptom.
Do not stop reasoning until you have independently verified the solution from multiple angles and are certain that no assumption remains unchecked and no error remains undiscovered.

`

const toolsBefore = `## Tools

You have access to a set of tools to help answer the user's question. You can invoke tools by writing a "<｜DSML｜tool_calls>" block like the following:

<｜DSML｜tool_calls>
<｜DSML｜invoke name="$TOOL_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$TOOL_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜tool_calls>

String parameters should be specified as is and set ` + "`string=\"true\"`" + `. For all other types (numbers, booleans, arrays, objects), pass the value in JSON format and set ` + "`string=\"false\"`" + `.

If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning inside <think>...</think> BEFORE any tool calls or final response.

Otherwise, output directly after </think> with tool calls or final response.

### Available Tool Schemas

`

const toolsAfter = `

You MUST strictly follow the above defined tool name and parameter schemas to invoke tool calls.
`

const responseFormatBefore = "## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"
