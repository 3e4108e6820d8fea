// Asmgen writes the assembly of compute/internal/asm. It takes the directory
// to write to:
//
//	go -C tools run ./asmgen ../compute/internal/asm
//
// Each entry of outputs makes one .s file and the file of its Go
// declarations. The output is the same bytes on every run.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// outputs lists the files to write, without their endings, and what fills
// them.
var outputs = []struct {
	name string
	fill func(c *build.Context)
}{
	{"gemm_tile_avx512", tilesAVX512},
	{"gemm_tile_avx2", tilesAVX2},
	{"gemm_few_avx512", fewAVX512},
	{"gemm_few_avx2", fewAVX2},
	{"gemm_pack", packs},
	{"gemm_peak", peaks},
	{"cpuid", cpuid},
	{"row_avx512", rowsAVX512},
	{"row_avx2", rowsAVX2},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("asmgen: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: asmgen directory")
	}
	for _, o := range outputs {
		if err := write(filepath.Join(os.Args[1], o.name), o.fill); err != nil {
			log.Fatalf("%s: %v", o.name, err)
		}
	}
	for name, code := range map[string]*arm{"gemm_tile_neon": tilesNEON(), "gemm_few_neon": fewsNEON()} {
		if err := code.write(filepath.Join(os.Args[1], name)); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
}

// write makes base_amd64.s and base_amd64.go from the functions that fill
// adds.
func write(base string, fill func(c *build.Context)) error {
	c := build.NewContext()
	c.ConstraintExpr("amd64,!noasm")
	fill(c)
	f, err := c.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return err
	}
	cfg := printer.Config{Name: "tools/asmgen", Pkg: "asm"}
	for ending, p := range map[string]printer.Printer{
		"_amd64.s":  printer.NewGoAsm(cfg),
		"_amd64.go": printer.NewStubs(cfg),
	} {
		text, err := p.Print(f)
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
		if err := os.WriteFile(base+ending, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
