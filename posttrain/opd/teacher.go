package opd

import (
	"crypto/sha256"
	"fmt"
	"runtime/debug"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// Vocabulary says what the ids of a model's vocabulary stand for.
type Vocabulary struct {
	Size   int
	Digest digest.Digest // of the tokenizer; zero if unknown
}

// Teacher is a model to learn from.
type Teacher struct {
	// Name is for reports and errors.
	Name   string
	Config *arch.Config
	// Tokenizer is the digest of the teacher's tokenizer; zero if unknown.
	Tokenizer digest.Digest
	// Digest says which model it is: see [Digest]. When zero it is found out by
	// loading the teacher once.
	Digest digest.Digest
	// Load returns the model; it is asked again when the teacher is needed again.
	Load func() (*deepseek.Model, error)
}

// load returns what reads the model in a directory.
func load(dir string) func() (*deepseek.Model, error) {
	return func() (*deepseek.Model, error) {
		src, err := hf.Open(dir)
		if err != nil {
			return nil, err
		}
		defer src.Close()
		m, err := deepseek.NewFrozen(src.Config)
		if err != nil {
			return nil, err
		}
		return m, src.Load(func(t *arch.Tensor) ([]float32, error) { return m.Param(t.Name).Data, nil })
	}
}

// Digest is the digest of all that decides what a model says: its configuration and its
// parameters.
func Digest(m *deepseek.Model) (digest.Digest, error) {
	p, err := train.ParametersDigest(m)
	if err != nil {
		return p, err
	}
	return digest.List("teacher", []digest.Digest{sha256.Sum256(m.Config().MarshalHF()), p}), nil
}

// Check tells why t cannot teach a student with that vocabulary.
func (t *Teacher) Check(student Vocabulary) error {
	switch {
	case t.Name == "":
		return fmt.Errorf("opd: a teacher has no name")
	case t.Config == nil || t.Load == nil:
		return fmt.Errorf("opd: teacher %q has no configuration, or cannot be loaded", t.Name)
	case t.Config.VocabSize != student.Size:
		return fmt.Errorf("opd: teacher %q has a vocabulary of %d tokens, the student one of %d: ids must mean the same to both", t.Name, t.Config.VocabSize, student.Size)
	case !t.Tokenizer.IsZero() && !student.Digest.IsZero() && t.Tokenizer != student.Digest:
		return fmt.Errorf("opd: teacher %q has the tokenizer %s, the student %s: ids must mean the same to both", t.Name, t.Tokenizer, student.Digest)
	}
	return nil
}

// Identify loads the teacher once: to find out its digest, or to make sure that it still
// has the one that it is given.
func (t *Teacher) Identify() error {
	defer debug.FreeOSMemory()
	return t.with(func(*deepseek.Model) error { return nil })
}

// with loads the teacher for the time of use, and no longer.
func (t *Teacher) with(use func(m *deepseek.Model) error) error {
	m, err := t.open()
	if err != nil {
		return err
	}
	return use(m)
}

// open loads the teacher and makes sure that it is the one it should be.
func (t *Teacher) open() (*deepseek.Model, error) {
	m, err := t.Load()
	if err != nil {
		return nil, fmt.Errorf("opd: teacher %q: %w", t.Name, err)
	}
	if got := m.Config(); got.VocabSize != t.Config.VocabSize || got.HiddenSize != t.Config.HiddenSize {
		return nil, fmt.Errorf("opd: teacher %q was loaded with a vocabulary of %d and width %d, its configuration says %d and %d",
			t.Name, got.VocabSize, got.HiddenSize, t.Config.VocabSize, t.Config.HiddenSize)
	}
	d, err := Digest(m)
	if err != nil {
		return nil, fmt.Errorf("opd: teacher %q: %w", t.Name, err)
	}
	if t.Digest.IsZero() {
		t.Digest = d
	}
	if t.Digest != d {
		return nil, fmt.Errorf("opd: teacher %q was loaded as %s, want %s: its files have changed", t.Name, d, t.Digest)
	}
	return m, nil
}
