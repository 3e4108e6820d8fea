package serve

import (
	"fmt"

	"github.com/temper-ml/temper/internal/jsonvalue"
	"github.com/temper-ml/temper/serve/answer"
)

// defaultTextTokens is how long a continuation is that does not say it, as in
// OpenAI's API.
const defaultTextTokens = 16

// decodeText reads a request for continuations of texts.
func (s *Server) decodeText(f *fields) (*ask, error) {
	echo, least := f.flag("echo"), int64(1)
	scored := echo && f.get("logprobs") != nil
	if scored {
		least = 0
	}
	a := s.decode(f, least)
	if v := f.get("logprobs"); v != nil {
		a.one.LogProbs, a.one.Top = true, int(f.whole("logprobs", 0, 0, maxTop))
	}
	if scored && a.one.Top > 0 {
		f.fail(unsupported("logprobs", "logprobs is %d with echo: of the prompt's tokens there are no likely ones, use 0", a.one.Top))
	}
	v := f.get("prompt")
	if v == nil {
		f.fail(invalid("prompt", "the request has no prompt"))
	}
	if f.err != nil {
		return nil, f.err
	}
	if err := s.prompts(a, v); err != nil {
		return nil, err
	}
	for i := range a.echo {
		if !echo {
			a.echo[i] = ""
		}
	}
	a.scored = scored
	if len(a.prompts)*a.n > s.o.MaxChoices {
		return nil, invalid("n", "%d prompts and n of %d are %d answers, want at most %d", len(a.prompts), a.n, len(a.prompts)*a.n, s.o.MaxChoices)
	}
	if f := s.fit(a, "prompt", "prompt"); f != nil {
		return nil, f
	}
	if !a.maxGiven {
		a.one.MaxTokens = defaultTextTokens
	}
	return a, nil
}

// prompts reads prompt: a text or tokens, or a list of either.
func (s *Server) prompts(a *ask, v *jsonvalue.Value) error {
	switch {
	case v.Kind == jsonvalue.String:
		s.promptText(a, v)
		return nil
	case v.Kind != jsonvalue.Array:
		return invalid("prompt", "prompt: want a string, a list of strings, tokens, or a list of lists of tokens, got %s", v.Kind)
	case len(v.Items) == 0:
		return invalid("prompt", "prompt: the list is empty")
	case v.Items[0].Kind == jsonvalue.Number:
		return s.promptTokens(a, v, "prompt")
	case len(v.Items) > s.o.MaxChoices:
		return invalid("prompt", "prompt has %d texts, want at most %d", len(v.Items), s.o.MaxChoices)
	}
	for i := range v.Items {
		name := fmt.Sprintf("prompt[%d]", i)
		switch item := &v.Items[i]; item.Kind {
		case jsonvalue.String:
			s.promptText(a, item)
		case jsonvalue.Array:
			if err := s.promptTokens(a, item, name); err != nil {
				return err
			}
		default:
			return invalid(name, "%s: want a string or a list of tokens, got %s", name, item.Kind)
		}
	}
	return nil
}

func (s *Server) promptText(a *ask, v *jsonvalue.Value) {
	a.prompts, a.echo, a.texts = append(a.prompts, s.m.Continuation(v.Text)), append(a.echo, v.Text), append(a.texts, true)
}

// promptTokens takes tokens as they are: nothing is put before them.
func (s *Server) promptTokens(a *ask, v *jsonvalue.Value, name string) error {
	if len(v.Items) == 0 {
		return invalid(name, "%s: there are no tokens, want at least one", name)
	}
	ids := make([]int32, len(v.Items))
	for i := range v.Items {
		t := &v.Items[i]
		id, err := integer(t.Text)
		if t.Kind != jsonvalue.Number || err != nil || id < 0 || id >= int64(s.m.VocabSize()) {
			return invalid(name, "%s[%d]: want a token, a whole number from 0 to %d", name, i, s.m.VocabSize()-1)
		}
		ids[i] = int32(id)
	}
	a.prompts, a.echo, a.texts = append(a.prompts, answer.Prompt{Tokens: ids}), append(a.echo, s.m.Text(ids)), append(a.texts, false)
	return nil
}
