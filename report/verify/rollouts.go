package verify

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/temper-ml/temper/report/record"
)

// rollout compares the numbers of a round with each other and with the recipe. A
// round asks its prompts, or up to as many in each further wave where groups of
// equal answers are left out, and gets a group of answers to each.
func (a *arithmetic) rollout(e *record.Entry, b *record.Rollout) {
	if want := a.log.cursor(b); b.First != want {
		a.rollouts.fail(e.Index, "entry %d: round %d of stage %d begins with question %d; the rounds before it used %d", e.Index, b.Round, b.Stage, b.First, want)
	}
	switch {
	case b.Prompts < 1 || b.Generations < b.Prompts:
		a.rollouts.fail(e.Index, "entry %d: %d generations to %d prompts", e.Index, b.Generations, b.Prompts)
	case b.Longest < 1 || b.Tokens < b.Generations+b.Longest-1 || (b.Tokens-1)/b.Generations >= b.Longest:
		a.rollouts.fail(e.Index, "entry %d: %d tokens in %d generations, the longest of %d", e.Index, b.Tokens, b.Generations, b.Longest)
	case !finite(b.Reward):
		a.rollouts.fail(e.Index, "entry %d: a mean reward of %v", e.Index, b.Reward)
	case b.Failed == b.Generations && b.Reward != 0:
		a.rollouts.fail(e.Index, "entry %d: a mean reward of %v, and nothing could be judged", e.Index, b.Reward)
	case b.Policy == "" || b.Batch == "":
		a.rollouts.fail(e.Index, "entry %d: no digest of the round, or of the policy", e.Index)
	}
	for name, v := range b.Rules {
		if !finite(v) {
			a.rollouts.fail(e.Index, "entry %d: the mean of rule %.40q is %v", e.Index, name, v)
		}
	}
	if s := a.stage.recipe; s != nil && s.Rollout != nil {
		a.asked(e, b, s)
		a.judged(e, b, s)
	}
}

// cursor is how many questions the standing rounds before one have used.
func (l *Log) cursor(b *record.Rollout) int64 {
	for i := len(l.Rollouts) - 1; i >= 0; i-- {
		if r := &l.Rollouts[i]; r.Stage == b.Stage && r.Round == b.Round-1 {
			return r.First + r.Prompts
		}
	}
	return 0
}

// asked compares how much was asked with what the recipe asks for.
func (a *arithmetic) asked(e *record.Entry, b *record.Rollout, s *recipeStage) {
	r := s.Rollout
	most := r.Prompts
	if s.GRPO.Dynamic && r.Waves > 1 && r.Waves < mostRows && r.Prompts < mostRows {
		most *= r.Waves
	}
	if b.Prompts < r.Prompts || b.Prompts > most {
		a.rollouts.fail(e.Index, "entry %d: %d prompts; the recipe makes it %d to %d", e.Index, b.Prompts, r.Prompts, most)
	}
	if r.Group < 1 || b.Generations/r.Group != b.Prompts || b.Generations%r.Group != 0 {
		a.rollouts.fail(e.Index, "entry %d: %d generations to %d prompts; the recipe makes it %d to each", e.Index, b.Generations, b.Prompts, r.Group)
	}
	if b.Longest > r.MaxTokens {
		a.rollouts.fail(e.Index, "entry %d: a generation of %d tokens; the recipe allows %d", e.Index, b.Longest, r.MaxTokens)
	}
}

// judged compares the rewards with their parts. Where everything was judged the mean
// reward is the weighted sum of the rules' means, but for rounding.
func (a *arithmetic) judged(e *record.Entry, b *record.Rollout, s *recipeStage) {
	var names []string
	sum, scale := 0.0, 1.0
	for _, r := range s.Rewards {
		names = append(names, r.name())
		part := r.weight() * b.Rules[r.name()]
		sum += part
		scale += math.Abs(part)
	}
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(b.Rules)); !slices.Equal(got, names) {
		a.rollouts.fail(e.Index, "entry %d: means of the rules %.200q; the recipe has %.200q", e.Index, got, names)
		return
	}
	if b.Failed == 0 && !(math.Abs(b.Reward-sum) <= 1e-9*scale) {
		a.rollouts.fail(e.Index, "entry %d: a mean reward of %v; the rules' means with their weights make it %v", e.Index, b.Reward, sum)
	}
}

// learnt compares a step's counts with the round that it learns from: whole answers,
// each with its question in a row of its own or with others.
func (a *arithmetic) learnt(e *record.Entry, b *record.Step) {
	s := a.stage.entry
	r := a.log.Round(b.Stage, b.Step/s.Round)
	if r == nil || s.Sequence < 1 {
		return // the sequence says so
	}
	switch {
	case b.Examples < 1 || b.Examples > r.Generations || b.Tokens < b.Examples:
		a.counts.fail(e.Index, "%s: %d examples of %d tokens; its round has %d generations", say(e, b), b.Examples, b.Tokens, r.Generations)
	case (b.Tokens-1)/b.Examples >= s.Sequence:
		a.counts.fail(e.Index, "%s: %d tokens in %d examples of at most %d", say(e, b), b.Tokens, b.Examples, s.Sequence)
	case b.Supervised < 1 || b.Supervised > b.Tokens-b.Examples:
		a.counts.fail(e.Index, "%s: %d supervised of %d tokens in %d examples; a loss needs one, and nothing predicts the first token of an example", say(e, b), b.Supervised, b.Tokens, b.Examples)
	case b.Supervised > r.Tokens:
		a.counts.fail(e.Index, "%s: %d supervised tokens; its round has %d", say(e, b), b.Supervised, r.Tokens)
	}
}

// settleRollouts compares rounds with their steps, once these are known, and the
// policies that sampled them with states on record.
func (a *arithmetic) settleRollouts() {
	l := a.log
	var generations, tokens, policies int64
	for i := range l.Rollouts {
		r := &l.Rollouts[i]
		generations += r.Generations
		tokens += r.Tokens
		size := l.Stages[r.Stage].Round
		if end := r.Step + size; l.Taken(r.Stage) >= end {
			if got := l.between(r.Stage, r.Step, end).supervised; got != r.Trained {
				a.rollouts.fail(r.Index, "entry %d: %d tokens are learnt from round %d, its %d steps have %d supervised", r.Index, r.Trained, r.Round, size, got)
			}
		}
		at, state := a.sampledBy(r)
		if state == "" {
			continue
		}
		policies++
		if state != r.Policy {
			a.rollouts.fail(r.Index, "entry %d: round %d was sampled by parameters %.24s..., those after %d steps of stage %d are %.24s...", r.Index, r.Round, r.Policy, at.Step, at.Stage, state)
		}
	}
	if len(l.Rollouts) == 0 {
		a.rollouts.saw("no stage learns from its own answers")
		return
	}
	a.rollouts.saw("%d rounds of %d generations with %d tokens: cursors, numbers of prompts, lengths, rewards and what their steps learn fit recipe and steps; %d of their policies are states on record", len(l.Rollouts), generations, tokens, policies)
}

// sampledBy returns the position whose weights sampled a round, and the digest of
// their parameters, "" where the record does not have it.
func (a *arithmetic) sampledBy(r *Rollout) (Position, record.Digest) {
	at := r.Position()
	if a.text != nil && r.Stage < len(a.text.Stages) {
		if c := a.text.Stages[r.Stage].Rollout; c != nil && c.Ahead > 0 && r.Round > 0 {
			at.Step -= a.log.Stages[r.Stage].Round
		}
	}
	return at, a.log.parametersAt(at)
}

// parametersAt returns the digest of all parameters at a position, "" where the
// record does not have it.
func (l *Log) parametersAt(at Position) record.Digest {
	if c := l.At(at); c != nil && c.Parameters != "" {
		return c.Parameters
	}
	switch {
	case at == Position{}:
		if l.Begin != nil {
			return l.Begin.Parameters
		}
	case at.Step == 0 && at.Stage > 0 && at.Stage <= len(l.Stages):
		return l.parametersAt(Position{at.Stage - 1, l.Stages[at.Stage-1].Steps})
	}
	return ""
}

// The file of a round is a log of frames that ends with a seal, as docs/rollouts.md
// describes it; this reads it anew, without the code that wrote it. What the frames
// say is held against the seal by a replay, which knows the questions.
const (
	roundMagic  = "temper-rollout/1\n"
	roundHeader = len(roundMagic) + 3*32 + 3*8 + 4*4
	frameHead   = 5 // length, kind
	sealBytes   = 8 + 32
	mostFrame   = 1 << 30
)

// rounds compares every round's file that is still there.
func (c *files) rounds() {
	gone := 0
	for i := range c.log.Rollouts {
		r := &c.log.Rollouts[i]
		name := record.RolloutPath(r.Stage, c.log.Stages[r.Stage].Name, r.Round)
		if !filepath.IsLocal(name) {
			c.f.fail(r.Index, "%.200q leads out of the run directory", name)
			return
		}
		n, seal, err := readRound(c.root, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			gone++
		case err != nil:
			c.f.fail(r.Index, "%.200s: %v", name, err)
		case !sameDigest(r.Batch, seal):
			c.f.fail(r.Index, "%.200s is sealed with digest %s, entry %d says %s", name, hex.EncodeToString(seal), r.Index, r.Batch)
		default:
			c.same++
			c.bytes += n
		}
	}
	if gone > 0 {
		c.log.notChecked("the files of %d of %s of answers, no longer there: their steps can be replayed from the beginning of the round only", gone, many(len(c.log.Rollouts), "round"))
	}
}

// sameDigest reports whether a digest on record has these bytes.
func sameDigest(d record.Digest, sum []byte) bool {
	_, text, _ := strings.Cut(string(d), ":")
	return text == hex.EncodeToString(sum)
}

// readRound reads a round's file, whose frames must be whole, and returns the digest
// that it is sealed with.
func readRound(root *directory, name string) (total int64, seal []byte, err error) {
	f, err := openFile(root, name)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	b := bufio.NewReaderSize(f, 1<<16)
	head := make([]byte, roundHeader+4)
	if _, err := io.ReadFull(b, head); err != nil || string(head[:len(roundMagic)]) != roundMagic {
		return 0, nil, errors.New("it does not begin as the file of a round does")
	}
	salt := binary.LittleEndian.Uint32(head[roundHeader:])
	if crc32.Checksum(head[:roundHeader], castagnoli) != salt {
		return 0, nil, errors.New("the checksum of its header is wrong")
	}
	for total = int64(len(head)); ; {
		kind, last, n, err := readFrame(b, salt, total)
		switch {
		case errors.Is(err, io.EOF) && seal != nil:
			return total, seal, nil
		case errors.Is(err, io.EOF):
			return total, nil, errors.New("it is not sealed")
		case err != nil:
			return total, nil, fmt.Errorf("at byte %d: %w", total, err)
		case seal != nil:
			return total, nil, fmt.Errorf("at byte %d: something follows the seal", total)
		case kind == 'S' && len(last) == sealBytes:
			seal = append([]byte{}, last[8:]...)
		case kind == 'S':
			return total, nil, fmt.Errorf("at byte %d: a seal of %d bytes, want %d", total, len(last), sealBytes)
		}
		total += n
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readFrame reads the frame at an offset and checks its sum. It keeps the payload of
// small ones only.
func readFrame(b *bufio.Reader, salt uint32, offset int64) (kind byte, payload []byte, n int64, err error) {
	var head [frameHead]byte
	if k, err := io.ReadFull(b, head[:]); k == 0 && errors.Is(err, io.EOF) {
		return 0, nil, 0, io.EOF
	} else if err != nil {
		return 0, nil, 0, fmt.Errorf("a frame is cut off: %w", noEOF(err))
	}
	size := int64(binary.LittleEndian.Uint32(head[:]))
	if size > mostFrame {
		return 0, nil, 0, fmt.Errorf("a frame of %d bytes, want at most %d", size, mostFrame)
	}
	var at [12]byte
	binary.LittleEndian.PutUint32(at[:], salt)
	binary.LittleEndian.PutUint64(at[4:], uint64(offset))
	h := crc32.New(castagnoli)
	h.Write(at[:])
	h.Write(head[:])
	if size == sealBytes {
		payload = make([]byte, size)
		if _, err = io.ReadFull(b, payload); err == nil {
			h.Write(payload)
		}
	} else {
		_, err = io.CopyN(h, b, size)
	}
	var sum [4]byte
	if err == nil {
		_, err = io.ReadFull(b, sum[:])
	}
	if err != nil {
		return 0, nil, 0, fmt.Errorf("a frame is cut off: %w", noEOF(err))
	}
	if binary.LittleEndian.Uint32(sum[:]) != h.Sum32() {
		return 0, nil, 0, errors.New("the checksum is wrong")
	}
	return head[4], payload, frameHead + size + 4, nil
}

// noEOF makes the end of a file in the middle of something what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
