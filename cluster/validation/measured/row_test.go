package measured

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dataDir is the folder of published measurements, or skips the test.
func dataDir(t testing.TB) string {
	t.Helper()
	root := os.Getenv("TEMPER_DATA")
	if root == "" {
		t.Skip("TEMPER_DATA is not set: the published measurements are not part of the repository")
	}
	return filepath.Join(root, "validation")
}

func TestReadPublishedFiles(t *testing.T) {
	dir := dataDir(t)
	want := map[string]int{"simumax_b200.csv": 43, "torchtitan_h100.csv": 32, "vtrain_a100_multi_node.csv": 109}
	for name, n := range want {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := ReadRows(name, f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		cases, err := Cases(rows)
		if err != nil {
			t.Fatal(err)
		}
		if len(cases) != n {
			t.Errorf("%s: %d cases, want %d", name, len(cases), n)
		}
	}
}

// line is a good row; each test spoils one field.
const line = "someone bench@1,llama3-70b(12 layers),,8,B200-SXM,1,2,4,1,1,1,1,16,4096,none,bf16,zero1,12,,,9717.7,,,0.843,66.55,eager; mem=max allocated GiB; odd remark"

func TestBadRowsAreRefused(t *testing.T) {
	fields := strings.Split(line, ",")
	for _, tt := range []struct {
		column int
		value  string
		want   string
	}{
		{0, "", "m.csv:2:1: source: is empty"},
		{3, "eight", `m.csv:2:40: gpus: "eight" is not a whole number`},
		{3, "0", "gpus: 0 is out of range"},
		{3, "16", "gpus: 16, but tp 1 x pp 2 x dp 4 x cp 1 = 8"},
		{5, "-1", "tp: -1 is out of range"},
		{8, "3", "ep: 3 does not divide tp x cp x dp = 4"},
		{10, "??", `vpp: "?" is not a whole number`},
		{12, "18", "gbs: 18 is not a multiple of dp x mbs = 4"},
		{13, "9999999999", "seq: 9999999999 is out of range"},
		{14, "some", `recompute: "some", want none, selective or full`},
		{15, "int4", `precision: "int4", want bf16`},
		{15, "float8-odd", `precision: scaling "odd"`},
		{16, "zero9", `sharding: "zero9"`},
		{17, "13", "layers: 13, but the model's name says 12"},
		{20, "NaN", `tokens_s_gpu: "NaN" is not a finite number`},
		{20, "4000", "tokens_s_gpu: 4000 means a step of 2.048 s, but step_time_s is 0.843"},
		{23, "-2", "step_time_s: -2 is not above 0"},
		{24, "1e999", "mem_gb"},
	} {
		bad := append([]string(nil), fields...)
		bad[tt.column] = tt.value
		rows, err := ReadRows("m.csv", strings.NewReader(Columns+"\n"+strings.Join(bad, ",")+"\n"))
		if err == nil {
			_, err = Cases(rows)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("column %d = %q: error %v, want %q in it", tt.column, tt.value, err, tt.want)
		}
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"empty":         {"", "m.csv:1:1: the file is empty"},
		"header":        {strings.Replace(Columns, "tp", "TP", 1) + "\n", `m.csv:1:35: column 6 is "TP", want "tp"`},
		"short row":     {Columns + "\na,b,c\n", "m.csv:2:1: wrong number of fields"},
		"bare quote":    {Columns + "\n" + strings.Replace(line, "odd", `o"dd`, 1) + "\n", `m.csv:2:`},
		"measured none": {Columns + "\n" + strings.Replace(line, "9717.7,,,0.843", ",,,", 1) + "\n", "measured nothing"},
	} {
		_, err := ReadRows("m.csv", strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, tt.want)
		}
	}
}

func TestNotesAndOpenFields(t *testing.T) {
	text := strings.Replace(line, "1,2,4,1,1,1,1,16", "1,2,4,1,1,2?,?,16", 1)
	rows, err := ReadRows("m.csv", strings.NewReader(Columns+"\n"+text+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := rows[0].Case()
	if err != nil {
		t.Fatal(err)
	}
	if c.MicroBatch != 1 || c.Chunks != 2 || c.Schedule != "interleaved" || c.MemoryKind != Allocated || c.Layers != 12 || c.Model != "llama3-70b" {
		t.Errorf("case %+v", c)
	}
	if len(c.Assumed) != 4 || len(c.Remarks) != 1 || c.Remarks[0] != "odd remark" {
		t.Errorf("assumed %q, remarks %q", c.Assumed, c.Remarks)
	}
}
