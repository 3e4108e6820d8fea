package runlog

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/merkle"
)

// Head is a signed statement of the hash of a log's first Size leaves.
type Head struct {
	Size int64
	Hash tlog.Hash
	// Previous is the size of the head before this one, 0 for the first.
	Previous int64
	// Note is the signed text, as it stands in the file.
	Note []byte
	// Signers are the names of the keys that signed and are known.
	Signers []string
}

// Limits of a head, so that a hostile file cannot make a reader take memory.
const (
	maxHeadLine   = 1 << 12
	maxSignatures = 16
)

// text returns what is signed.
func (h *Head) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n%d\n", record.Format, h.Size, base64.StdEncoding.EncodeToString(h.Hash[:]), h.Previous)
}

// sign returns the signed note of a tree whose last head had previous leaves.
func (k *Key) sign(f *merkle.Frontier[tlog.Hash], previous int64) (*Head, error) {
	h := &Head{Size: f.Size(), Hash: f.Root(), Previous: previous}
	var err error
	if h.Note, err = note.Sign(&note.Note{Text: h.text()}, k.signer); err != nil {
		return nil, fmt.Errorf("runlog: head of %d entries: %w", f.Size(), err)
	}
	return h, nil
}

// ParseHead reads a head and checks its signatures: that of the verifier key
// must be there and right, and those of the witnesses, if given, are reported
// in Signers.
func ParseHead(msg []byte, key string, witnesses ...string) (*Head, error) {
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("verifier key %.80q: %w", key, err)
	}
	known := []note.Verifier{v}
	for _, w := range witnesses {
		wv, err := note.NewVerifier(w)
		if err != nil {
			return nil, fmt.Errorf("witness key %.80q: %w", w, err)
		}
		known = append(known, wv)
	}
	return parseHead(msg, v, note.VerifierList(known...))
}

func parseHead(msg []byte, v note.Verifier, known note.Verifiers) (*Head, error) {
	n, err := note.Open(msg, known)
	if err != nil {
		return nil, signatureError(err, v)
	}
	h := &Head{Note: bytes.Clone(msg)}
	signed := false
	for _, s := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return nil, fmt.Errorf("signature of %s: %w", s.Name, err) // bits that mean nothing must be 0
		}
		h.Signers = append(h.Signers, s.Name)
		signed = signed || s.Name == v.Name() && s.Hash == v.KeyHash()
	}
	if !signed {
		return nil, fmt.Errorf("not signed by %s+%08x", v.Name(), v.KeyHash())
	}
	lines := strings.Split(n.Text, "\n")
	if lines[0] != record.Format {
		return nil, fmt.Errorf("first line is %.40q, this program reads %q", lines[0], record.Format)
	}
	if len(lines) < 4 {
		return nil, errors.New("want four lines: format, size, hash, size of the head before")
	}
	if h.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || h.Size < 1 {
		return nil, fmt.Errorf("size is %.40q, want a decimal number from 1", lines[1])
	}
	if h.Previous, err = strconv.ParseInt(lines[3], 10, 64); err != nil || h.Previous < 0 || h.Previous >= h.Size {
		return nil, fmt.Errorf("size of the head before is %.40q, want a decimal number from 0 and below %d", lines[3], h.Size)
	}
	if h.Hash, err = tlog.ParseHash(lines[2]); err != nil || n.Text != h.text() {
		return nil, errors.New("text is not that of a head: want format, size, hash and size of the head before on a line each")
	}
	return h, nil
}

// signatureError says which keys signed instead.
func signatureError(err error, v note.Verifier) error {
	var un *note.UnverifiedNoteError
	if errors.As(err, &un) {
		var by []string
		for _, s := range un.Note.UnverifiedSigs {
			by = append(by, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
		}
		return fmt.Errorf("not signed by %s+%08x but by %s", v.Name(), v.KeyHash(), strings.Join(by, ", "))
	}
	return err
}

// headReader reads heads one after the other.
type headReader struct {
	r     *bufio.Reader
	v     note.Verifier
	known note.Verifiers
	count int64 // heads read
	good  int64 // bytes of them
	torn  int64 // bytes of a last head that is not complete
	last  int64 // size of the last head
}

// next returns the next head, nil after the last.
func (r *headReader) next() (*Head, error) {
	msg, complete, err := r.message()
	if err != nil {
		return nil, &Error{File: HeadsName, Index: r.count, Err: err}
	}
	if !complete {
		r.torn = int64(len(msg))
		return nil, nil //nolint:nilnil // no head is no error
	}
	h, err := parseHead(msg, r.v, r.known)
	if err == nil && h.Size <= r.last {
		err = fmt.Errorf("is of %d entries, the one before of %d: heads grow", h.Size, r.last)
	}
	if err == nil && h.Previous != r.last {
		err = fmt.Errorf("was signed after a head of %d entries, the one before is of %d: heads are missing or out of order", h.Previous, r.last)
	}
	if err != nil {
		return nil, &Error{File: HeadsName, Index: r.count, Err: err}
	}
	r.count++
	r.good += int64(len(msg))
	r.last = h.Size
	return h, nil
}

// message returns the bytes of the next note: lines up to an empty one, and the
// signatures after it.
func (r *headReader) message() (msg []byte, complete bool, err error) {
	signatures := -1 // lines of text come first
	for lines := 0; ; lines++ {
		if signatures > 0 {
			if next, _ := r.r.Peek(len(sigPrefix)); !bytes.HasPrefix([]byte(sigPrefix), next) || len(next) == 0 {
				return msg, true, nil
			}
		}
		line, whole, err := readLine(r.r, maxHeadLine)
		msg = append(msg, line...)
		switch {
		case err != nil:
			return nil, false, err
		case !whole:
			return msg, false, nil
		case lines > 8+maxSignatures:
			return nil, false, fmt.Errorf("more than %d lines", lines)
		case signatures >= 0:
			signatures++
		case len(line) == 1:
			signatures = 0
		}
	}
}

const sigPrefix = "— "

// errLong refuses a line that is too long.
var errLong = errors.New("line is too long")

// readLine returns a line with its newline. If the text ends before one, whole
// is false.
func readLine(r *bufio.Reader, limit int) (line []byte, whole bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, false, fmt.Errorf("%w: more than %d bytes", errLong, limit-1)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line, true, nil
		case errors.Is(err, io.EOF):
			return line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}
