// Package source reads training data from files: JSON rows in the formats that
// post-training data comes in, and plain text.
//
// A JSONL file has one JSON object a line; a JSON file holds one array of
// objects. Both are read as a stream, .gz transparently. Rows become
// conversations (package chat) whatever their format:
//
//	alpaca      {"instruction", "input", "output", "system", "history": [[q, a]]}, or "instances"
//	sharegpt    {"conversations": [{"from", "value"}], "system", "tools"}
//	messages    {"messages": [{"role", "content", "reasoning_content", "tool_calls"}], "tools"}
//	pair        {"prompt", "response"}: one turn
//	preference  {"prompt", "chosen", "rejected"}, or two whole dialogues
//	kto         any of the above with "label" or "kto_tag": true or false
//	prompt      {"prompt"} or {"messages"} that end with the user, and "answer" for the reward
//	text        {"text"}, or a file that is not JSON
//
// The format is recognised from the first row's fields; it can be given, and
// fields can be renamed with a Mapping. All rows of a file have one format.
//
// Nothing is repaired in silence. Broken JSON, invalid UTF-8, empty lines,
// duplicate keys, unknown roles and fields of messages, missing or empty
// answers are an *Error with file, line, column, the rule and what to do.
package source
