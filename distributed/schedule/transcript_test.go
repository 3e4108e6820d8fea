package schedule

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/distributed/mesh"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the transcripts in testdata: read the difference before you commit it")

// transcripts are pictures of small schedules, as a person would draw them.
var transcripts = []struct {
	file                   string
	shape                  Shape
	forward, input, weight float64 // per chunk
	send                   float64
	blocking               bool
	remark                 string
}{
	{"gpipe.txt", Shape{GPipe, 4, 1, 8, 0}, 1, 1, 1, 0, false, "All forwards, then all backwards: every stage holds all 8 microbatches."},
	{"1f1b.txt", Shape{OneFOneB, 4, 1, 8, 0}, 1, 1, 1, 0, false, "As soon as a gradient is there, it goes first: stage s holds 4-s microbatches. The bubble is that of gpipe, (4-1)*3 units."},
	{"1f1b-sends.txt", Shape{OneFOneB, 4, 1, 8, 0}, 2, 2, 2, 1, false, "Sends take half a forward and only delay the receiver."},
	{"1f1b-blocking.txt", Shape{OneFOneB, 4, 1, 8, 0}, 2, 2, 2, 1, true, "Sends take half a forward and hold the sender; its action is drawn that much longer."},
	{"interleaved.txt", Shape{Interleaved, 4, 2, 8, 0}, 1, 1, 1, 0, false, "Two chunks a stage, a and b, each half as long: the bubble is (4-1)*3 of these shorter units."},
	{"interleaved-groups.txt", Shape{Interleaved, 4, 2, 9, 0}, 1, 1, 1, 0, false, "9 microbatches go in groups of 5 and 4, since groups of 4 would leave one of 1. The bubble is the same; one more chunk is held."},
	{"zb-h1.txt", Shape{ZBH1, 4, 1, 8, 0}, 1, 1, 1, 0, false, "Weight gradients (W) wait for nobody and fill the bubble: (4-1)*(1+1-1) units are left."},
	{"zb-v.txt", Shape{ZBV, 4, 2, 8, 0}, 1, 1, 1, 0, false, "Chunk a goes down the stages, chunk b comes back up. From its first action to its last no stage idles."},
	{"dualpipe.txt", Shape{DualPipe, 4, 2, 12, 0}, 1, 1, 1, 0, false, "Microbatches 0-5 (a) enter at stage 0 and 6-11 (b) at stage 3. F+B is one forward and one backward overlapped."},
	{"dualpipev.txt", Shape{DualPipeV, 4, 2, 8, 0}, 1, 1, 1, 0, false, "DualPipe with the second half of the stages folded back on the first: one copy of the parameters."},
}

func TestTranscripts(t *testing.T) {
	for _, c := range transcripts {
		var p Pipeline
		if err := p.Reset(c.shape); err != nil {
			t.Fatal(err)
		}
		d := uniform(c.shape, c.forward, c.input, c.weight)
		d.Blocking = c.blocking
		for i := range d.Send {
			d.Send[i] = c.send
		}
		var out Timeline
		if err := p.Time(d, &out); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%v\nforward %v, input gradient %v, weight gradient %v, send %v\n%s\n\n", c.shape, c.forward, c.input, c.weight, c.send, c.remark)
		b.WriteString(p.Picture(&out, 1))
		fmt.Fprintf(&b, "\nstage  busy  send  wait  bubble  in flight  of %v\n", out.Makespan)
		for stage, s := range out.Stages {
			fmt.Fprintf(&b, "%5d  %4v  %4v  %4v  %6v  %9d\n", stage, s.Busy, s.Send, s.Wait, s.Bubble,
				c.shape.PeakInFlight(stage))
		}
		compare(t, c.file, b.String())
	}
}

// TestProgramTranscript shows all that two stages of a small mixture-of-experts
// model do in one step.
func TestProgramTranscript(t *testing.T) {
	split, err := ParseSplit("Ettt|ttmL")
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProgram(Spec{
		Mesh: mesh.Mesh{TP: 1, CP: 2, DP: 4, PP: 2, EP: 4, ETP: 1},
		Kind: OneFOneB, Chunks: 1, Micro: 3, Split: split,
		Experts: []bool{false, true, true, true, true},
		Zero:    1, Recompute: RecomputeSelective, Offload: OffloadSwap,
		Overlap: Overlap{Sends: true, Gradients: true, Parameters: true}, Checkpoint: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v, split %v, on %v\n", p.Spec.Shape(), p.Spec.Split, p.Spec.Mesh)
	for _, rank := range []int{0, 13} {
		fmt.Fprintf(&b, "\nrank %d, stage %d:\n", rank, p.Stage(rank))
		for _, in := range p.Of(rank) {
			fmt.Fprintf(&b, "  %v", in)
			if in.isMessage() {
				fmt.Fprintf(&b, " (rank %d)", p.Peer(rank, in))
			}
			if g := p.Group(rank, in); in.Axis != mesh.None {
				fmt.Fprintf(&b, " (%d ranks, %d..%d by %d)", g.Size, g.First, g.Last(), g.Stride)
			}
			b.WriteByte('\n')
		}
	}
	b.WriteString("\nwork of a forward on stage 1:\n")
	printWork(&b, p.Work(1, 0, Forward))
	b.WriteString("\nwork of a backward on stage 0:\n")
	printWork(&b, p.Work(0, 0, Backward))
	compare(t, "program.txt", b.String())
}

func printWork(b *strings.Builder, work []Work) {
	for _, w := range work {
		fmt.Fprintf(b, "  %v", w.Op)
		if w.Axis != mesh.None {
			fmt.Fprintf(b, " over %v", w.Axis)
		}
		if w.Block >= 0 {
			fmt.Fprintf(b, ", block %d", w.Block)
		}
		if w.Again {
			b.WriteString(", again")
		}
		b.WriteByte('\n')
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if the change is meant, run go test -run Transcript -rewrite and read the difference:\n%s", path, diff)
	}
}

// TestTranscriptsInTheManual keeps the pictures of docs/schedules.md those of
// the code.
func TestTranscriptsInTheManual(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "schedules.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, c := range transcripts {
		text = embed(t, text, c.file)
	}
	text = embed(t, text, "program.txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(page), text); diff != "" {
		t.Errorf("docs/schedules.md is not what the code draws (-page +code); run go test -run Transcript -rewrite:\n%s", diff)
	}
}

// embed puts a transcript between its marks on a page.
func embed(t *testing.T, page, file string) string {
	t.Helper()
	begin, end := "<!-- begin "+file+" -->\n", "<!-- end "+file+" -->"
	head, rest, ok := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("docs/schedules.md has no marks for %s", file)
	}
	picture, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return head + begin + "```\n" + string(picture) + "```\n" + end + tail
}
