// Command mixed prints blocks of the mixed text: mixed FIRST END.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/temper-ml/temper/data/tokenizer/tokenizertest"
)

func main() {
	first, err1 := strconv.ParseUint(os.Args[1], 10, 64)
	end, err2 := strconv.ParseUint(os.Args[2], 10, 64)
	if err1 != nil || err2 != nil {
		fmt.Fprintln(os.Stderr, "usage: mixed FIRST END")
		os.Exit(2)
	}
	for b := first; b < end; b++ {
		fmt.Print(tokenizertest.Mixed(b))
	}
}
