package measured

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzReadRows wants an error or rows that resolve or are refused, no panic.
func FuzzReadRows(f *testing.F) {
	f.Add(Columns + "\n" + line + "\n")
	f.Add(Columns + "\n" + strings.ReplaceAll(line, "1", "?") + "\n")
	f.Add("\ufeff" + Columns + "\n\"" + line + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := ReadRows("f.csv", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "measured: f.csv") {
				t.Errorf("an error without its place: %v", err)
			}
			return
		}
		for i := range rows {
			c, err := rows[i].Case()
			if err == nil && (c.Seconds <= 0 || c.TP*c.PP*c.DP*c.CP != c.Devices) {
				t.Errorf("a case that cannot be: %+v", c)
			}
		}
	})
}

// FuzzRead does the same for logs and JSON lines.
func FuzzRead(f *testing.F) {
	f.Add(megatronLog)
	f.Add(`{"step":1,"seconds":2,"memory_gib":50,"tp":4}`)
	f.Add(`{"kind":"step","event":{"result":{"time":{"total":5}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if cases, err := ReadLines("m", strings.NewReader(text), planned()); err == nil {
			for _, c := range cases {
				if !(c.Seconds > 0) {
					t.Errorf("a case that cannot be: %+v", c)
				}
			}
		}
		if c, err := ReadMegatronLog("m", bytes.NewReader([]byte(text)), planned()); err == nil && !(c.Seconds > 0) {
			t.Errorf("a case that cannot be: %+v", c)
		}
	})
}
