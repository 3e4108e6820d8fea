package tokenizer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/temper-ml/temper/data/tokenizer/internal/bpe"
	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

// A Tokenizer encodes and decodes text. It is immutable and safe for concurrent use.
type Tokenizer struct {
	file  file
	model *modelFile

	normalize func(string) string // nil: text stays as it is
	pipeline  *pretoken.Pipeline
	bpe       *bpe.Model
	added     map[string]*AddedToken
	all       matchers // every added token
	ordinary  matchers // the added tokens that are not control tokens
	decoder   decoder
	before    []int32
	after     []int32

	token  []string // id -> token as the file writes it; "" where there is none
	pieces []piece  // id -> what it decodes to

	digest func() [sha256.Size]byte
}

// compile builds the tokenizer of a parsed file.
func compile(f *file, m *modelFile) (*Tokenizer, error) {
	t := &Tokenizer{file: *f, model: m}
	var err error
	if t.normalize, err = parseNormalizer(f.Normalizer, 0); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	stages, err := parsePreTokenizer(f.PreTokenizer, 0)
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if t.pipeline, err = pretoken.NewPipeline(stages); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if err := t.index(); err != nil {
		return nil, err
	}
	if t.bpe, err = bpe.New(t.bpeConfig()); err != nil {
		return nil, err
	}
	if t.before, t.after, err = parsePostProcessor(f.PostProcessor, t); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	if t.decoder, err = parseDecoder(f.Decoder, t.pipeline.ByteLevel()); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	t.all = newMatchers(f.AddedTokens, t.normalize, func(AddedToken) bool { return true })
	t.ordinary = newMatchers(f.AddedTokens, t.normalize, func(a AddedToken) bool { return !a.control() })
	t.pieces = t.decoder.pieces(t.token, t.added)
	t.digest = sync.OnceValue(t.hash)
	return t, nil
}

// bpeConfig describes the model. Control tokens are reserved: only added-token matching may yield them.
func (t *Tokenizer) bpeConfig() bpe.Config {
	m := t.model
	merges := make([][2]string, len(m.Merges))
	for i, pair := range m.Merges {
		merges[i] = pair
	}
	return bpe.Config{
		Vocab: m.Vocab, Merges: merges, ByteLevel: t.pipeline.ByteLevel(),
		Unknown: m.Unknown, FuseUnknown: m.FuseUnknown, ByteFallback: m.ByteFallback,
		Prefix: m.Prefix, Suffix: m.Suffix, IgnoreMerges: m.IgnoreMerges,
		Reserved: func(id int32) bool {
			a := t.added[t.token[id]]
			return a != nil && a.control()
		},
	}
}

// index checks the ids and fills the tables from id to token and from added token to id.
func (t *Tokenizer) index() error {
	count := len(t.model.Vocab) + len(t.file.AddedTokens)
	limit := int32(16*count + 1<<16) // ids may have gaps, but a file must not make us reserve the world
	check := func(token string, id int32) error {
		if id < 0 || id >= limit {
			return fmt.Errorf("id %d of token %q is outside [0, %d), with %d tokens in the file", id, token, limit, count)
		}
		if int(id) >= len(t.token) {
			t.token = append(t.token, make([]string, int(id)+1-len(t.token))...)
		}
		if old := t.token[id]; old != "" && old != token {
			return fmt.Errorf("id %d belongs to both %q and %q", id, min(old, token), max(old, token))
		}
		t.token[id] = token
		return nil
	}
	for token, id := range t.model.Vocab {
		if token == "" {
			return errors.New("vocab: a token is empty")
		}
		if err := check(token, id); err != nil {
			return fmt.Errorf("vocab: %w", err)
		}
	}
	t.added = make(map[string]*AddedToken, len(t.file.AddedTokens))
	for i := range t.file.AddedTokens {
		a := &t.file.AddedTokens[i]
		if a.Content == "" {
			return fmt.Errorf("added_tokens: token %d has no content", i)
		}
		if id, ok := t.model.Vocab[a.Content]; ok && id != a.ID {
			return fmt.Errorf("added_tokens: %q has id %d, but %d in the vocabulary", a.Content, a.ID, id)
		}
		if t.added[a.Content] != nil {
			return fmt.Errorf("added_tokens: %q stands there twice", a.Content)
		}
		if err := check(a.Content, a.ID); err != nil {
			return fmt.Errorf("added_tokens: %w", err)
		}
		t.added[a.Content] = a
	}
	return nil
}

// VocabSize returns one more than the highest id: the rows an embedding needs.
func (t *Tokenizer) VocabSize() int { return len(t.token) }

// Special returns the id of an added token, special or not, by its content.
func (t *Tokenizer) Special(name string) (id int32, ok bool) {
	if a := t.added[name]; a != nil {
		return a.ID, true
	}
	return 0, false
}

// AddedTokens returns the added tokens in the order of the file.
func (t *Tokenizer) AddedTokens() []AddedToken {
	return append([]AddedToken(nil), t.file.AddedTokens...)
}

// TokenID returns the id of a token as the vocabulary writes it: byte-level vocabularies write a blank
// as Ġ, for example.
func (t *Tokenizer) TokenID(token string) (id int32, ok bool) {
	if a := t.added[token]; a != nil {
		return a.ID, true
	}
	id, ok = t.model.Vocab[token]
	return id, ok
}

// Token returns the token of an id as the vocabulary writes it.
func (t *Tokenizer) Token(id int32) (token string, ok bool) {
	if id < 0 || int(id) >= len(t.token) || t.token[id] == "" {
		return "", false
	}
	return t.token[id], true
}

// Affixes returns the ids that the post-processor puts before and after a sequence, for example a
// beginning-of-sequence token. Encode does not add them: chat encodings write their own.
func (t *Tokenizer) Affixes() (before, after []int32) {
	return append([]int32(nil), t.before...), append([]int32(nil), t.after...)
}

// Digest identifies the tokenizer by its content: the SHA-256 of its canonical tokenizer.json, whatever
// the spelling of the file it came from.
func (t *Tokenizer) Digest() [sha256.Size]byte { return t.digest() }
