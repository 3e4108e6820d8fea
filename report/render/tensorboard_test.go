package render

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"
)

// The golden file was read back by TensorBoard itself: testdata/read_events.py
// prints what it sees, testdata/tensorboard.txt is what it printed.
func TestTensorBoardGolden(t *testing.T) {
	var b bytes.Buffer
	if err := TensorBoard(&b, finished()); err != nil {
		t.Fatal(err)
	}
	golden := "testdata/" + TensorBoardName(finished())
	if os.Getenv("TEMPER_WRITE_GOLDEN") != "" {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%d bytes differ from the %d of %s", b.Len(), len(want), golden)
	}
	seen, err := os.ReadFile("testdata/tensorboard.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"evaluation/base/accuracy 2 4.5 0.5\n", "evaluation/base/accuracy 4 7 0.75\n", "loss/lm 3 6 1\n", "mfu/megatron 0 3 0.6\n",
		"lr 1 4 0.001\n", "tokens_per_second 2 5 100\n", "memory_bytes 0 3 1.04858e+06\n", "seconds/forward 0 3 0.6\n",
	} {
		if !strings.Contains(string(seen), want) {
			t.Errorf("TensorBoard did not see %q", want)
		}
	}
}

// Framing and checksum, by the check value of CRC-32C and by reading back.
func TestTFRecords(t *testing.T) {
	if got := masked([]byte("123456789")); got != 0xc78ab0e5 {
		t.Errorf("masked checksum %#x", got)
	}
	var b bytes.Buffer
	r := finished()
	r.Steps[1].Losses[0].Value = math.NaN()
	if err := TensorBoard(&b, r); err != nil {
		t.Fatal(err)
	}
	records := 0
	for rest := b.Bytes(); len(rest) > 0; records++ {
		n := binary.LittleEndian.Uint64(rest)
		if masked(rest[:8]) != binary.LittleEndian.Uint32(rest[8:]) || masked(rest[12:12+n]) != binary.LittleEndian.Uint32(rest[12+n:]) {
			t.Fatalf("record %d: checksum", records)
		}
		rest = rest[16+n:]
	}
	if want := 1 + 4 + 2; records != want {
		t.Errorf("%d records, want %d", records, want)
	}
}

func TestTensorBoardOfARunWithoutTimes(t *testing.T) {
	r := &Run{Steps: []Step{{Losses: []Value{{"lm", 1}}}}, Events: []Event{{Kind: Evaluation, After: 99, Values: []Value{{"x\xff", 2}}}}}
	var b bytes.Buffer
	if err := TensorBoard(&b, r); err != nil {
		t.Fatal(err)
	}
	if TensorBoardName(r) != "events.out.tfevents.0000000000.temper" || bytes.Contains(b.Bytes(), []byte("\xff")) || !bytes.Contains(b.Bytes(), []byte("evaluation/stage 0/x�")) {
		t.Errorf("%q", b.Bytes())
	}
}
