package journal

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/temper-ml/temper/posttrain/reward"
)

const magic = "temper-rollout/1\n"

// The sizes of what is fixed.
const (
	headerSize  = len(magic) + 3*32 + 3*8 + 4*4 + 4
	frameHead   = 5
	frameExtra  = frameHead + 4
	markPayload = 8
	sealPayload = 8 + 32
)

// The kinds of frames.
const (
	kindAsked   = 'Q'
	kindTokens  = 'T'
	kindVerdict = 'V'
	kindArray   = 'A'
	kindRoutes  = 'R'
	kindMark    = 'M'
	kindSeal    = 'S'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bytes returns the beginning of a file and its checksum.
func (h *Header) bytes() (b []byte, salt uint32) {
	b = append(make([]byte, 0, headerSize), magic...)
	b = append(append(append(b, h.Config[:]...), h.Questions[:]...), h.Policy[:]...)
	for _, v := range []uint64{h.Seed, uint64(h.Number), uint64(h.First)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, v := range []uint32{h.Prompts, h.Group, h.Tokens, h.Waves} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	salt = crc32.Checksum(b, castagnoli)
	return binary.LittleEndian.AppendUint32(b, salt), salt
}

// checksum is that of a frame at an offset, head and payload.
func checksum(salt uint32, offset int64, frame []byte) uint32 {
	var b [12]byte
	binary.LittleEndian.PutUint32(b[:], salt)
	binary.LittleEndian.PutUint64(b[4:], uint64(offset))
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, frame)
}

// appendFrame adds a frame to be written at an offset.
func appendFrame(b []byte, salt uint32, offset int64, kind byte, payload []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(append(b, kind), payload...)
	return binary.LittleEndian.AppendUint32(b, checksum(salt, offset, b[at:]))
}

// appendQuestion adds the payload of a question.
func appendQuestion(b []byte, number int, q *Question) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(number)), uint64(q.Index))
	b = append(b, flag(q.Thinking))
	b = append(binary.AppendUvarint(b, uint64(len(q.Place))), q.Place...)
	for _, id := range q.Tokens {
		b = binary.AppendUvarint(b, uint64(uint32(id)))
	}
	return b
}

// question takes the payload of a question in.
func (s *State) question(r *reader) error {
	number, index, thinking, place := r.uvarint(), r.uvarint(), r.byte(), r.text()
	q := Question{Index: int64(index), Place: place, Thinking: thinking == 1}
	for r.left() > 0 {
		id := r.uvarint()
		if id > math.MaxInt32 {
			return errPayload
		}
		q.Tokens = append(q.Tokens, int32(id))
	}
	if r.bad || thinking > 1 || index > math.MaxInt64 {
		return errPayload
	}
	return s.ask(number, q)
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// appendTokens adds the payload of a pass; answers are ascending.
func appendTokens(b []byte, adds []Add) []byte {
	before := 0
	for i := range adds {
		a := &adds[i]
		b = binary.AppendUvarint(b, uint64(a.Answer-before))
		before = a.Answer
		differ := false
		for k, p := range a.LogProb {
			differ = differ || math.Float32bits(p) != math.Float32bits(a.Sampled[k])
		}
		head := uint64(len(a.Tokens))<<4 | uint64(a.Reason)<<1
		if differ {
			head |= 1
		}
		b = binary.AppendUvarint(b, head)
		for k, id := range a.Tokens {
			b = binary.AppendUvarint(b, uint64(uint32(id)))
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(a.LogProb[k]))
			if differ {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(a.Sampled[k]))
			}
		}
	}
	return b
}

// tokens takes the payload of a pass in.
func (s *State) tokens(r *reader) error {
	last := uint64(0)
	for first := true; r.left() > 0; first = false {
		step, head := r.uvarint(), r.uvarint()
		if !first && step == 0 || step > maxAnswers {
			return errPayload
		}
		last += step
		n, differ := head>>4, head&1 != 0
		if last > maxAnswers || n > uint64(r.left()/5) {
			return errPayload
		}
		a := Add{
			Answer: int(last), Reason: reason(head >> 1 & 7), Tokens: make([]int32, n),
			LogProb: make([]float32, n), Sampled: make([]float32, n),
		}
		for k := range a.Tokens {
			id := r.uvarint()
			if id > math.MaxInt32 {
				return errPayload
			}
			a.Tokens[k], a.LogProb[k] = int32(id), r.float32()
			a.Sampled[k] = a.LogProb[k]
			if differ {
				a.Sampled[k] = r.float32()
			}
		}
		if r.bad {
			return errPayload
		}
		if err := s.add(&a); err != nil {
			return err
		}
	}
	return nil
}

// appendVerdict adds the payload of a verdict.
func appendVerdict(b []byte, answer int, v *reward.Verdict) []byte {
	text := func(t string) { b = append(binary.AppendUvarint(b, uint64(len(t))), t...) }
	number := func(x float64) { b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x)) }
	b = binary.AppendUvarint(b, uint64(answer))
	b = append(b, flag(v.Failed))
	number(v.Total)
	b = binary.AppendUvarint(b, uint64(len(v.Parts)))
	for i := range v.Parts {
		p := &v.Parts[i]
		text(p.Name)
		number(p.Weight)
		number(p.Value)
		text(p.Reason)
		text(p.Error)
	}
	return b
}

// verdict takes the payload of a verdict in.
func (s *State) verdict(r *reader) error {
	answer := r.uvarint()
	v := &reward.Verdict{}
	failed := r.byte()
	v.Failed = failed == 1
	v.Total = r.float64()
	n := r.uvarint()
	if failed > 1 || n > uint64(r.left()/19) {
		return errPayload
	}
	v.Parts = make([]reward.Part, n)
	for i := range v.Parts {
		p := &v.Parts[i]
		p.Name, p.Weight, p.Value = r.text(), r.float64(), r.float64()
		p.Reason, p.Error = r.text(), r.text()
	}
	if r.bad || r.left() > 0 || !finite(v) {
		return errPayload
	}
	return s.judge(answer, v)
}

// finite reports whether all numbers of a verdict are.
func finite(v *reward.Verdict) bool {
	ok := v.Total-v.Total == 0
	for i := range v.Parts {
		p := &v.Parts[i]
		ok = ok && p.Weight-p.Weight == 0 && p.Value-p.Value == 0
	}
	return ok
}

// appendArray adds the payload of an array.
func appendArray(b []byte, answer int, which byte, values []float32) []byte {
	b = append(binary.AppendUvarint(b, uint64(answer)), which)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// array takes the payload of an array in.
func (s *State) array(r *reader) error {
	answer, which := r.uvarint(), r.byte()
	values := make([]float32, r.left()/4)
	for i := range values {
		values[i] = r.float32()
	}
	if r.bad || r.left() > 0 {
		return errPayload
	}
	return s.amend(answer, which, values)
}

// routes takes the payload of routes in.
func (s *State) routes(r *reader) error {
	answer := r.uvarint()
	if r.bad {
		return errPayload
	}
	return s.route(answer, r.take(r.left()))
}
