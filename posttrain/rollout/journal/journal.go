package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/report/record/digest"
)

// Journal writes the file of a round. It is used by one goroutine. After an error it
// writes nothing more: what is on the disk then counts, as after a crash.
type Journal struct {
	path  string
	file  durable.File
	salt  uint32
	size  int64 // written
	safe  int64 // of that, on the disk
	buf   []byte
	frame []byte
	err   error

	flushing chan error // of a Sync that runs beside, of what was written up to
	flushed  int64
}

// MismatchError says that a file is of another round than the one that is wanted.
type MismatchError struct {
	Path, What string
	Has, Want  any
}

// Error names the file and what differs.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s is of another %s: it has %v, want %v: remove the file to sample its round again", e.Path, e.What, e.Has, e.Want)
}

// Match returns a [MismatchError] if the two are not of the same round.
func (h *Header) Match(path string, want *Header) error {
	for _, f := range []struct {
		what string
		has  any
		want any
	}{
		{"round", h.Number, want.Number},
		{"first question", h.First, want.First},
		{"seed", h.Seed, want.Seed},
		{"set of questions", h.Questions, want.Questions},
		{"configuration of rollouts and rewards", h.Config, want.Config},
		{"policy", h.Policy, want.Policy},
		{"shape", [4]uint32{h.Prompts, h.Group, h.Tokens, h.Waves}, [4]uint32{want.Prompts, want.Group, want.Tokens, want.Waves}},
	} {
		if f.has != f.want {
			return &MismatchError{path, f.what, f.has, f.want}
		}
	}
	return nil
}

// Open opens a round's file to continue it, or makes it. The journal is nil if the
// file is sealed. What is torn is cut off.
func Open(fs durable.FS, path string, h *Header) (*Journal, *State, error) {
	if err := h.check(); err != nil {
		return nil, nil, err
	}
	begin, salt := h.bytes()
	s, err := Read(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := durable.WriteFile(fs, path, begin); err != nil {
			return nil, nil, err
		}
		s = &State{Header: *h, Answers: map[int]*Answer{}, Size: int64(len(begin)), durable: int64(len(begin)), salt: salt}
	} else if err != nil {
		return nil, nil, err
	}
	if err := s.Header.Match(path, h); err != nil || s.Sealed {
		return nil, s, err
	}
	j := &Journal{path: path, salt: salt, size: s.Size, safe: s.durable}
	if j.file, err = fs.Append(path, s.Size); err != nil {
		return nil, nil, err
	}
	if s.Torn > 0 { // or what is cut off might come back behind what is written now
		if err := j.Sync(); err != nil {
			return nil, nil, err
		}
	}
	return j, s, nil
}

// write appends the frames in j.buf.
func (j *Journal) write() error {
	if j.err != nil {
		return j.err
	}
	if _, err := j.file.Write(j.buf); err != nil {
		return j.fail(err)
	}
	j.size += int64(len(j.buf))
	j.buf = j.buf[:0]
	return nil
}

// fail ends the journal.
func (j *Journal) fail(err error) error {
	if j.flushing != nil {
		<-j.flushing
		j.flushing = nil
	}
	fix := ""
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		fix = ": free some space and go on"
	}
	j.err = fmt.Errorf("%s: %w: what was sampled before is kept%s", j.path, err, fix)
	_ = j.file.Close()
	return j.err
}

// put adds a frame to j.buf.
func (j *Journal) put(kind byte, payload []byte) error {
	if int64(len(payload)) > math.MaxUint32 {
		return j.fail(fmt.Errorf("a frame of %d bytes, at most %d fit", len(payload), uint32(math.MaxUint32)))
	}
	j.frame = payload
	j.buf = appendFrame(j.buf, j.salt, j.size+int64(len(j.buf)), kind, payload)
	return nil
}

// Questions appends questions, the first of which has the number given.
func (j *Journal) Questions(first int, list []Question) error {
	for i := range list {
		if err := j.put(kindAsked, appendQuestion(j.frame[:0], first+i, &list[i])); err != nil {
			return err
		}
	}
	return j.write()
}

// Tokens appends what a pass made; answers are ascending. routes, if not nil, gives the
// compact form of the routes of those that ended, which come before the ends.
func (j *Journal) Tokens(adds []Add, routes func(answer int) ([]byte, error)) error {
	for i := range adds {
		a := &adds[i]
		if a.Reason == generate.Running || routes == nil {
			continue
		}
		coded, err := routes(a.Answer)
		if err != nil {
			return j.fail(err)
		}
		if err := j.put(kindRoutes, append(binary.AppendUvarint(j.frame[:0], uint64(a.Answer)), coded...)); err != nil {
			return err
		}
	}
	if err := j.put(kindTokens, appendTokens(j.frame[:0], adds)); err != nil {
		return err
	}
	return j.write()
}

// Verdict appends what rules said of an answer.
func (j *Journal) Verdict(answer int, v *reward.Verdict) error {
	if err := j.put(kindVerdict, appendVerdict(j.frame[:0], answer, v)); err != nil {
		return err
	}
	return j.write()
}

// Array appends numbers of an answer's tokens.
func (j *Journal) Array(answer, which int, values []float32) error {
	if err := j.put(kindArray, appendArray(j.frame[:0], answer, byte(which), values)); err != nil {
		return err
	}
	return j.write()
}

// Unsafe returns how many bytes are written and may not be on the disk.
func (j *Journal) Unsafe() int64 { return j.size - j.safe }

// Sync returns when all that was appended is on the disk.
func (j *Journal) Sync() error {
	if err := j.settle(); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return j.fail(err)
	}
	return j.mark(j.size)
}

// Flush is a Sync that nobody waits for: it begins one if it is due and none goes on,
// and marks what an earlier one has done.
func (j *Journal) Flush(due bool) error {
	switch {
	case j.err != nil:
		return j.err
	case j.flushing == nil && due && j.Unsafe() > 0:
		done := make(chan error, 1)
		j.flushing, j.flushed = done, j.size
		go func() { done <- j.file.Sync() }()
	case len(j.flushing) > 0: // never of none
		return j.settle()
	}
	return nil
}

// settle waits for what Flush began.
func (j *Journal) settle() error {
	if j.flushing == nil {
		return j.err
	}
	err := <-j.flushing
	j.flushing = nil
	switch {
	case j.err != nil:
		return j.err
	case err != nil:
		return j.fail(err)
	}
	return j.mark(j.flushed)
}

// mark says that the file is on the disk up to a size.
func (j *Journal) mark(size int64) error {
	if err := j.put(kindMark, binary.LittleEndian.AppendUint64(j.frame[:0], uint64(size))); err != nil {
		return err
	}
	last := size == j.size
	if err := j.write(); err != nil {
		return err
	}
	if j.safe = size; last {
		j.safe = j.size // there is nothing in the mark to be kept
	}
	return nil
}

// Seal says that the round is complete, and closes the file. It returns when that is
// on the disk.
func (j *Journal) Seal(asked int64, sum digest.Digest) error {
	if err := j.settle(); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return j.fail(err)
	}
	payload := binary.LittleEndian.AppendUint64(j.frame[:0], uint64(asked))
	if err := j.put(kindSeal, append(payload, sum[:]...)); err != nil {
		return err
	}
	if err := j.write(); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return j.fail(err)
	}
	err := j.file.Close()
	j.err = fmt.Errorf("%s is sealed", j.path)
	return err
}

// Close closes the file without waiting for the disk. A journal that was sealed, or
// failed, is closed already.
func (j *Journal) Close() error {
	if j == nil || j.err != nil {
		return nil
	}
	err := j.settle()
	if j.err != nil { // and it is closed
		return err
	}
	j.err = fmt.Errorf("%s is closed", j.path)
	return j.file.Close()
}
