package journal

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// Read reads the file of a round.
func Read(path string) (*State, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return decode(path, f, info.Size())
}

// decode reads a file of so many bytes. It keeps no more in memory than a small
// multiple of them.
func decode(path string, f io.ReaderAt, size int64) (*State, error) {
	s := &State{Answers: map[int]*Answer{}}
	b := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<16)
	if err := s.header(path, b, size); err != nil {
		return nil, err
	}
	s.Size = int64(headerSize)
	for s.Size < size {
		if s.Sealed {
			return nil, &DamagedError{path, s.Size, fmt.Sprintf("%d bytes follow the seal", size-s.Size)}
		}
		frame, err := s.frame(b, size)
		if err != nil {
			return nil, err
		}
		if frame == nil {
			break
		}
		if err := s.take(frame[4], frame[frameHead:len(frame)-4]); err != nil {
			return nil, &DamagedError{path, s.Size, err.Error()}
		}
		s.Size += int64(len(frame))
	}
	if s.Torn = size - s.Size; s.Torn == 0 {
		return s, nil
	}
	durable, err := s.promised(f, size)
	if err != nil {
		return nil, err
	}
	if durable > s.Size {
		return nil, &DamagedError{path, s.Size, fmt.Sprintf("the checksum is wrong, and the file was on the disk up to byte %d", durable)}
	}
	return s, nil
}

// header reads the beginning of a file.
func (s *State) header(path string, b io.Reader, size int64) error {
	if size < int64(headerSize) {
		return &DamagedError{path, 0, fmt.Sprintf("%d bytes are no header, which has %d", size, headerSize)}
	}
	raw := make([]byte, headerSize)
	if _, err := io.ReadFull(b, raw); err != nil {
		return err
	}
	if string(raw[:len(magic)]) != magic {
		return &DamagedError{path, 0, fmt.Sprintf("it begins with %q, not with %q", raw[:len(magic)], magic)}
	}
	h := &s.Header
	r := &reader{b: raw[len(magic):]}
	r.digest(h.Config[:])
	r.digest(h.Questions[:])
	r.digest(h.Policy[:])
	h.Seed, h.Number, h.First = r.uint64(), int64(r.uint64()), int64(r.uint64())
	h.Prompts, h.Group, h.Tokens, h.Waves = r.uint32(), r.uint32(), r.uint32(), r.uint32()
	sum := r.uint32()
	if _, s.salt = h.bytes(); s.salt != sum {
		return &DamagedError{path, 0, "the header's checksum is wrong"}
	}
	if err := h.check(); err != nil {
		return &DamagedError{path, 0, err.Error()}
	}
	return nil
}

// frame reads the frame at s.Size, nil if there is no valid one.
func (s *State) frame(b *bufio.Reader, size int64) ([]byte, error) {
	left := size - s.Size
	if left < frameExtra {
		return nil, nil
	}
	head, err := b.Peek(frameHead)
	if err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head)) + frameExtra
	if n > left {
		return nil, nil
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(b, frame); err != nil {
		return nil, err
	}
	if !s.valid(frame, s.Size) {
		return nil, nil
	}
	return frame, nil
}

// valid tells whether a frame's checksum is right at an offset.
func (s *State) valid(frame []byte, offset int64) bool {
	end := len(frame) - 4
	return binary.LittleEndian.Uint32(frame[end:]) == checksum(s.salt, offset, frame[:end])
}

// take takes a frame in.
func (s *State) take(kind byte, payload []byte) error {
	r := &reader{b: payload}
	switch kind {
	case kindAsked:
		return s.question(r)
	case kindTokens:
		return s.tokens(r)
	case kindVerdict:
		return s.verdict(r)
	case kindArray:
		return s.array(r)
	case kindRoutes:
		return s.routes(r)
	case kindMark:
		return s.mark(r)
	case kindSeal:
		return s.seal(r)
	}
	return fmt.Errorf("a frame is of unknown kind %q", kind)
}

func (s *State) mark(r *reader) error {
	size := r.uint64()
	if r.bad || r.left() > 0 || size > uint64(s.Size) || int64(size) < s.durable {
		return errPayload
	}
	s.durable = int64(size)
	return nil
}

func (s *State) seal(r *reader) error {
	asked := r.uint64()
	r.digest(s.Digest[:])
	if r.bad || r.left() > 0 || asked == 0 || asked > uint64(s.Header.Prompts)*uint64(s.Header.Waves) {
		return errPayload
	}
	s.Sealed, s.Asked, s.durable = true, int64(asked), s.Size
	return nil
}

// promised returns how many bytes of the file were on the disk, going by valid marks
// and seals anywhere after the last whole frame.
func (s *State) promised(f io.ReaderAt, size int64) (int64, error) {
	const longest = frameExtra + sealPayload
	durable := s.durable
	buf := make([]byte, 1<<16)
	for at := s.Size; at < size; {
		n := int(min(size-at, int64(len(buf))))
		if _, err := f.ReadAt(buf[:n], at); err != nil && err != io.EOF {
			return 0, err
		}
		next := n // where the next piece begins
		if at+int64(n) < size {
			next = n - longest + 1
		}
		for i := range next {
			durable = max(durable, s.promise(buf[i:n], at+int64(i)))
		}
		at += int64(next)
	}
	return durable, nil
}

// promise returns what the mark or seal at an offset says was on the disk, 0 if none
// is there.
func (s *State) promise(b []byte, offset int64) int64 {
	if len(b) < frameExtra+markPayload {
		return 0
	}
	want := 0
	switch b[4] {
	case kindMark:
		want = markPayload
	case kindSeal:
		want = sealPayload
	}
	if want == 0 || int(binary.LittleEndian.Uint32(b)) != want || len(b) < frameExtra+want || !s.valid(b[:frameExtra+want], offset) {
		return 0
	}
	if b[4] == kindSeal {
		return offset
	}
	return int64(min(binary.LittleEndian.Uint64(b[frameHead:]), uint64(offset)))
}
