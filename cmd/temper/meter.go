package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/temper-ml/temper/internal/unit"
)

// newMeter returns a function that shows how far a long copy has come, with rate
// and time left, on a terminal; elsewhere nil, and nothing is shown.
func newMeter(out io.Writer, what string) func(done, total int64) {
	if file, ok := out.(*os.File); !ok || !isTerminal(file) {
		return nil
	}
	start, shown := time.Now(), time.Now()
	return func(done, total int64) {
		now := time.Now()
		if now.Sub(shown) < 200*time.Millisecond && done < total || done == 0 {
			return
		}
		shown = now
		elapsed := now.Sub(start)
		left := time.Duration(float64(elapsed) * float64(total-done) / float64(done))
		rate := unit.Bytes(float64(done) / elapsed.Seconds())
		fmt.Fprintf(out, "\r\x1b[K%s %v of %v, %v/s, %s left", what, unit.Bytes(done), unit.Bytes(total), rate, unit.Duration(left))
		if done >= total {
			fmt.Fprint(out, "\r\x1b[K")
		}
	}
}

// parseSize reads a number of bytes with a decimal or binary suffix.
func parseSize(text string) (int64, error) {
	number := strings.TrimRight(text, "KMGTPiBbkmgt")
	suffix := strings.ToUpper(strings.TrimSuffix(strings.TrimSuffix(text[len(number):], "B"), "b"))
	base, binary := 1000.0, strings.HasSuffix(suffix, "I")
	if binary {
		base, suffix = 1024, suffix[:len(suffix)-1]
	}
	power := slices.Index([]string{"", "K", "M", "G", "T"}, suffix)
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	size := x * math.Pow(base, float64(power))
	if err != nil || power < 0 || binary && power == 0 || !(size >= 1 && size < 1<<60) {
		return 0, fmt.Errorf("%q is not a size, want a positive number with KB, MB, GB, TB or KiB, MiB, GiB, TiB", text)
	}
	return int64(size), nil
}
