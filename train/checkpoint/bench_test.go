package checkpoint

import (
	"testing"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
)

// benchState has 64 MiB in tensors of several sizes.
func benchState() *State {
	s := &State{Step: 1}
	for _, n := range []int{1 << 22, 1 << 22, 1 << 21, 1 << 21, 1 << 22, 5, 512} {
		t := Tensor{Name: string(rune('a' + len(s.Tensors))), Shape: []int{n}, Data: make([]float32, n)}
		for i := range t.Data {
			t.Data[i] = float32(i)
		}
		s.Tensors = append(s.Tensors, t)
	}
	return s
}

func BenchmarkSave(b *testing.B) {
	for name, fs := range map[string]durable.FS{"disk": durable.OS, "nosync": durabletest.NoSync(durable.OS)} {
		b.Run(name, func(b *testing.B) {
			s, err := OpenStore(b.TempDir(), Options{FS: fs, Keep: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			state := benchState()
			b.SetBytes(state.bytes())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Save(state); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	s, err := OpenStore(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	state := benchState()
	if _, err := s.Save(state); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(state.bytes())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Load(state.Tensors); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	state := benchState()
	b.SetBytes(state.bytes())
	for b.Loop() {
		Digest(state.Tensors)
	}
}

// BenchmarkSHA256 is the bound of the digest on one thread.
func BenchmarkSHA256(b *testing.B) {
	buf := make([]byte, 4*leafValues)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		hashLeaf(buf)
	}
}
