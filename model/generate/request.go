package generate

import "fmt"

// Request asks for the continuation of a prompt.
type Request struct {
	// Prompt is what to continue: at least one token.
	Prompt []int32
	// MaxTokens bounds the continuation; the model's context bounds prompt and
	// continuation together. It may be 0 if the prompt is scored.
	MaxTokens int
	// Score asks for the log-probabilities of the prompt's tokens from this one on, at
	// least 1: see [Result.Scored]. 0 asks for none. What comes before is shared with
	// other requests.
	Score int
	// Stop lists token sequences that end the continuation; they are its last
	// tokens then. The model's end-of-sequence token does too, unless IgnoreEOS.
	Stop      [][]int32
	IgnoreEOS bool
	// Until, if not nil, tells whether the continuation ends with its last token, as
	// stop sequences do. It sees the whole sequence, must be a function of that, and is
	// called by several goroutines.
	Until func(sequence []int32) bool
	Sampling
	// TopLogProbs asks for that many most likely tokens with each token.
	TopLogProbs int
	// Routing asks for the experts and compressed entries chosen: see
	// [deepseek.Routes]. ExpertsOnly leaves the entries out, which are most of it.
	Routing, ExpertsOnly bool
	// Mask asks for the tokens that top-k and top-p left, with each token.
	Mask bool
}

// Token is one generated token.
type Token struct {
	ID       int32
	Position int // in the sequence; the prompt's first token is 0
	// LogProb is the log-probability under the model, at temperature 1 and over
	// the whole vocabulary: bit-equal to [deepseek.Model.LogProbs].
	LogProb float32
	// Sampled is the log-probability under the distribution that the token was
	// drawn from: LogProb at temperature 1 without top-k and top-p, 0 if the most
	// likely token was taken.
	Sampled float32
	Top     []Candidate // the most likely tokens, as many as asked for
	Kept    []int32     // ids that could be drawn, ascending, if asked for; nil for all
}

// Candidate is a token with its log-probability at temperature 1.
type Candidate struct {
	ID      int32
	LogProb float32
}

// Reason says why a continuation ended.
type Reason int

// The reasons.
const (
	Running   Reason = iota // it has not
	EOS                     // the model ended it
	Stopped                 // by a stop sequence
	Length                  // by MaxTokens
	Context                 // the model has no further position
	Cancelled               // by the caller
	Failed                  // see the error
)

var reasonNames = [...]string{"running", "eos", "stop", "length", "context", "cancelled", "failed"}

// String returns a word for logs.
func (r Reason) String() string {
	if r < 0 || int(r) >= len(reasonNames) {
		return fmt.Sprintf("Reason(%d)", int(r))
	}
	return reasonNames[r]
}

// maxTopLogProbs bounds what is reported with each token.
const maxTopLogProbs = 1024

// check tells what is wrong with r for a vocabulary and a context.
func (r *Request) check(vocab, context int) error {
	scores := r.MaxTokens == 0 && r.Score > 0 // and no answer
	switch n := len(r.Prompt); {
	case n == 0:
		return fmt.Errorf("generate: prompt is empty, want at least one token, such as the model's first")
	case r.Score < 0 || r.Score > 0 && r.Score >= n:
		return fmt.Errorf("generate: score is %d, the prompt has %d tokens: want the index of one but the first, or 0", r.Score, n)
	case scores && n > context:
		return fmt.Errorf("generate: prompt has %d tokens, the context is %d", n, context)
	case !scores && n >= context:
		return fmt.Errorf("generate: prompt has %d tokens, the context is %d: at most %d leave room for an answer", n, context, context-1)
	case !scores && r.MaxTokens <= 0:
		return fmt.Errorf("generate: max tokens is %d, want at least 1", r.MaxTokens)
	case r.TopLogProbs < 0 || r.TopLogProbs > min(vocab, maxTopLogProbs):
		return fmt.Errorf("generate: top log-probabilities is %d, want 0 to %d", r.TopLogProbs, min(vocab, maxTopLogProbs))
	}
	for i, id := range r.Prompt {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("generate: token %d at position %d of the prompt is outside the vocabulary of %d", id, i, vocab)
		}
	}
	for i, s := range r.Stop {
		if len(s) == 0 {
			return fmt.Errorf("generate: stop sequence %d is empty", i)
		}
		for _, id := range s {
			if id < 0 || int(id) >= vocab {
				return fmt.Errorf("generate: token %d of stop sequence %d is outside the vocabulary of %d", id, i, vocab)
			}
		}
	}
	return r.Sampling.Check()
}

// shared returns how many tokens of the prompt other requests may have in common with
// it: those whose logits nobody asks for.
func (r *Request) shared() int {
	if r.Score > 0 {
		return r.Score - 1
	}
	return len(r.Prompt)
}

// through returns how many tokens of the prompt have to go through the model.
func (r *Request) through() int {
	if r.MaxTokens == 0 {
		return len(r.Prompt) - 1
	}
	return len(r.Prompt)
}

// ends tells whether the sequence, of which the last n tokens are generated, ends
// with a stop sequence, or by Until.
func (r *Request) ends(tokens []int32, n int) bool {
	for _, s := range r.Stop {
		if len(s) <= n && equalTail(tokens, s) {
			return true
		}
	}
	return r.Until != nil && r.Until(tokens)
}

func equalTail(tokens, tail []int32) bool {
	at := len(tokens) - len(tail)
	for i, id := range tail {
		if tokens[at+i] != id {
			return false
		}
	}
	return true
}
