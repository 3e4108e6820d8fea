package opd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// Published is the teacher in a directory in the published form, for students with a
// tokenizer: its own, in the same directory, must give ids the same meaning and cut text
// alike. It must be able to read sequences of so many tokens. Its weights are read
// when it is needed.
func Published(name, dir string, student *tokenizer.Tokenizer, sequence int) (Teacher, error) {
	t := Teacher{Name: name}
	src, err := hf.Open(dir)
	if err != nil {
		return t, fmt.Errorf("teacher %q: %w", name, err)
	}
	defer src.Close()
	t.Config = src.Config
	if err := t.Config.CheckTrainable(); err != nil {
		return t, fmt.Errorf("teacher %q: %s: %w", name, dir, err)
	}
	if most := t.Config.MaxPositions; most > 0 && sequence > most {
		return t, fmt.Errorf("teacher %q reads at most %d tokens (max_position_embeddings of %s), rows have up to %d: lower data.sequence to %d, or take another teacher", name, most, dir, sequence, most)
	}
	file := filepath.Join(dir, "tokenizer.json")
	own, err := tokenizer.Load(file)
	if errors.Is(err, os.ErrNotExist) {
		return t, fmt.Errorf("teacher %q: %s is missing: it tells that ids mean the same to teacher and student: put the one that the teacher was trained with there", name, file)
	} else if err != nil {
		return t, fmt.Errorf("teacher %q: %w", name, err)
	}
	if err := sameTokens(student, own); err != nil {
		return t, fmt.Errorf("teacher %q: %s: %w", name, file, err)
	}
	t.Tokenizer = student.Digest()
	t.Load = load(dir)
	return t, nil
}

// sameTokens refuses a teacher's tokenizer by the first thing that differs from the
// student's. What is put around texts and how tokens become text again is not compared.
func sameTokens(student, teacher *tokenizer.Tokenizer) error {
	if student.Digest() == teacher.Digest() {
		return nil
	}
	if a, b := student.VocabSize(), teacher.VocabSize(); a != b {
		return fmt.Errorf("it has %d tokens, the student's tokenizer %d: ids must mean the same to both", b, a)
	}
	for id := range int32(student.VocabSize()) {
		a, _ := student.Token(id)
		b, _ := teacher.Token(id)
		if a != b {
			return fmt.Errorf("its token %d is %.40q, the student's is %.40q: ids must mean the same to both", id, b, a)
		}
	}
	special := map[string]bool{}
	for _, a := range student.AddedTokens() {
		special[a.Content] = a.Special
	}
	for _, b := range teacher.AddedTokens() {
		if is, ok := special[b.Content]; !ok || is != b.Special {
			return fmt.Errorf("its token %d, %.40q, is special: %v; of the student's tokenizer: %v", b.ID, b.Content, b.Special, ok && is)
		}
		delete(special, b.Content)
	}
	for content := range special {
		return fmt.Errorf("it does not know that %.40q stands for itself, as the student's does", content)
	}
	return sameRules(student, teacher)
}

// sameRules refuses a tokenizer that cuts text by other rules.
func sameRules(student, teacher *tokenizer.Tokenizer) error {
	var parts [2]map[string]json.RawMessage
	for i, t := range []*tokenizer.Tokenizer{student, teacher} {
		text, err := t.MarshalJSON()
		if err == nil {
			err = json.Unmarshal(text, &parts[i])
		}
		if err != nil {
			return err
		}
	}
	for _, name := range []string{"normalizer", "pre_tokenizer", "model"} {
		if !bytes.Equal(parts[0][name], parts[1][name]) {
			return fmt.Errorf("it has the student's tokens, but its %s is another: it would cut the same text into others", name)
		}
	}
	return nil
}
