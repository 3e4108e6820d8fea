package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseIDs reads ids as people write them: decimal numbers between blanks, commas or brackets, so that a
// JSON array is fine. Every id must have a token.
func (t *Tokenizer) ParseIDs(text string) ([]int32, error) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,[]", r) })
	ids := make([]int32, len(fields))
	for i, f := range fields {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: id %d of the list: %q is not a number below 2^31", i, f)
		}
		if _, ok := t.Token(int32(id)); !ok {
			return nil, fmt.Errorf("tokenizer: id %d of the list: %d has no token, the vocabulary has %d", i, id, t.VocabSize())
		}
		ids[i] = int32(id)
	}
	return ids, nil
}
