package tokenizer

// Names of the DeepSeek tokens that a trainer needs by name.
const (
	V4BOS       = "<｜begin▁of▁sentence｜>"
	V4EOS       = "<｜end▁of▁sentence｜>"
	V4Pad       = "<｜▁pad▁｜>"
	V4User      = "<｜User｜>"
	V4Assistant = "<｜Assistant｜>"
	V4Think     = "<think>"
	V4ThinkEnd  = "</think>"
	V4DSML      = "｜DSML｜"
)

// V4Specials returns the tokens of the DeepSeek-V4 chat encoding, for TrainOptions.Special. BOS, EOS and
// padding are 0, 1 and 2 as in the published vocabulary; the others, which stand behind its 128,000
// learned tokens there, follow at once, so that a small vocabulary can hold them.
func V4Specials() []AddedToken {
	var out []AddedToken
	add := func(special bool, names ...string) {
		for _, name := range names {
			out = append(out, AddedToken{ID: int32(len(out)), Content: name, Special: special})
		}
	}
	add(true, V4BOS, V4EOS, V4Pad)
	add(false,
		V4User, V4Assistant, V4Think, V4ThinkEnd, V4DSML,
		"<｜latest_reminder｜>", "<｜action｜>", "<｜query｜>", "<｜authority｜>",
		"<｜domain｜>", "<｜title｜>", "<｜read_url｜>")
	add(true, "<|EOT|>")
	add(false, "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>")
	return out
}
