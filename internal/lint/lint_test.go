package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pkg is what `go list` says of a package, plus its parsed files.
type pkg struct {
	ImportPath, Dir, Export, Name string
	GoFiles, TestGoFiles          []string
	XTestGoFiles, Imports         []string
	Module                        *struct{ Main bool }
	files                         map[string]*ast.File
}

var (
	loadOnce sync.Once
	loaded   []*pkg
	exports  = map[string]string{}
	fset     = token.NewFileSet()
	errLoad  error
)

// load returns the module's packages, parsed with comments.
func load(t *testing.T) []*pkg {
	t.Helper()
	loadOnce.Do(func() { errLoad = list() })
	if errLoad != nil {
		t.Fatal(errLoad)
	}
	return loaded
}

func list() error {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,Name,GoFiles,TestGoFiles,XTestGoFiles,Imports,Module", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{files: map[string]*ast.File{}}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		exports[p.ImportPath] = p.Export
		if p.Module == nil || !p.Module.Main {
			continue
		}
		for _, f := range p.GoFiles {
			path := filepath.Join(p.Dir, f)
			file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			p.files[path] = file
		}
		loaded = append(loaded, p)
	}
}

func (p *pkg) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, Module), "/")
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range load(t) {
		from := p.rel()
		lf := level(from)
		if lf < 0 {
			t.Errorf("%s has no level <- please add it to the table in internal/lint/levels.go, or move it into a room that has one", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, Module+"/")
			if !ours {
				continue
			}
			lt := level(to)
			if lt > lf || lt == lf && !slices.Contains(sameLevel[from], to) && lf != 0 && !strings.HasPrefix(from, "cmd/") {
				t.Errorf("%s (level %d) imports %s (level %d) <- please declare an interface in %s instead, or move the code down", from, lf, to, lt, from)
			}
			for _, w := range walls {
				if within(from, w.from+"/...") && within(to, w.to+"/...") {
					t.Errorf("%s imports %s <- please remove it: %s", from, to, w.why)
				}
			}
		}
	}
}

func TestEverythingExportedIsDocumented(t *testing.T) {
	for _, p := range load(t) {
		documented := false
		for path, f := range p.files {
			documented = documented || f.Doc != nil
			if ast.IsGenerated(f) {
				continue
			}
			for _, decl := range f.Decls {
				checkDoc(t, path, decl)
			}
		}
		if !documented {
			t.Errorf("%s has no package comment <- please say in doc.go what the room is for", p.rel())
		}
	}
}

func checkDoc(t *testing.T, path string, decl ast.Decl) {
	t.Helper()
	complain := func(name string, pos token.Pos) {
		t.Errorf("%s: exported %s has no comment <- please begin one with its name", fset.Position(pos), name)
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !selfExplaining[d.Name.Name] {
			complain(d.Name.Name, d.Pos())
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					complain(s.Name.Name, s.Pos())
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						complain(n.Name, n.Pos())
					}
				}
			}
		}
	}
}

// selfExplaining methods implement interfaces of the standard library whose contract everybody knows.
var selfExplaining = map[string]bool{
	"Error": true, "Unwrap": true, "String": true, "Len": true, "Less": true, "Swap": true, "Push": true, "Pop": true,
	"MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true, "UnmarshalText": true, "Write": true, "Read": true, "Close": true,
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if idx, ok := typ.(*ast.IndexExpr); ok {
		typ = idx.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func TestSizes(t *testing.T) {
	for _, p := range load(t) {
		hardFunc := 80
		if strings.HasPrefix(p.rel(), "compute/") {
			hardFunc = 120 // kernels
		}
		written := 0
		for path, f := range p.files {
			if ast.IsGenerated(f) {
				continue
			}
			written++
			if lines := fset.Position(f.End()).Line; lines > 500 {
				t.Errorf("%s has %d lines <- please split it: one idea a file, 500 lines at most", path, lines)
			}
			for _, decl := range f.Decls {
				if d, ok := decl.(*ast.FuncDecl); ok && d.Body != nil {
					if n := fset.Position(d.Body.End()).Line - fset.Position(d.Body.Pos()).Line; n > hardFunc {
						t.Errorf("%s: %s has %d lines <- please split it: %d at most", fset.Position(d.Pos()), d.Name.Name, n, hardFunc)
					}
				}
			}
		}
		limit := 30
		if p.rel() == "cmd/temper" {
			limit = 60 // a file for each subcommand
		}
		if written > limit {
			t.Errorf("%s has %d hand-written files <- please split the package along the architecture: %d at most", p.rel(), written, limit)
		}
	}
}

// A compiler may fuse x*y + z into one rounding on some architectures and not
// on others, unless the product is converted explicitly.
func TestProductsAreNotFusedByAccident(t *testing.T) {
	lookup := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data for %s", path)
		}
		return os.Open(exports[path])
	}
	pkgs := load(t)
	imp := importer.ForCompiler(fset, "gc", lookup)
	for _, p := range pkgs {
		if len(p.files) == 0 {
			continue
		}
		var files []*ast.File
		for _, f := range p.files {
			files = append(files, f)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		conf := types.Config{Importer: imp}
		if _, err := conf.Check(p.ImportPath, fset, files, info); err != nil {
			t.Fatalf("%s: %v", p.ImportPath, err)
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool { checkFused(t, info, n); return true })
		}
	}
}

func checkFused(t *testing.T, info *types.Info, n ast.Node) {
	t.Helper()
	var operands []ast.Expr
	switch e := n.(type) {
	case *ast.BinaryExpr:
		if e.Op == token.ADD || e.Op == token.SUB {
			operands = []ast.Expr{e.X, e.Y}
		}
	case *ast.AssignStmt:
		if e.Tok == token.ADD_ASSIGN || e.Tok == token.SUB_ASSIGN {
			operands = e.Rhs
		}
	}
	for _, x := range operands {
		if product(x) && isFloat(info.Types[x].Type) && info.Types[x].Value == nil {
			t.Errorf("%s: a product is added without a conversion <- please write float32(x*y) or float64(x*y), or call kernel.FMA32 if fusing is meant: else arm64 gives other bits than amd64", fset.Position(x.Pos()))
		}
	}
}

func product(x ast.Expr) bool {
	switch e := x.(type) {
	case *ast.ParenExpr:
		return product(e.X)
	case *ast.UnaryExpr:
		return e.Op == token.SUB && product(e.X)
	case *ast.BinaryExpr:
		return e.Op == token.MUL
	}
	return false
}

func isFloat(typ types.Type) bool {
	if typ == nil {
		return false
	}
	b, ok := typ.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsFloat|types.IsComplex) != 0
}

func TestForbiddenImports(t *testing.T) {
	forbidden := map[string]string{
		"math/rand":    "please draw from internal/detrand: randomness is keyed, never shared state",
		"math/rand/v2": "please draw from internal/detrand: randomness is keyed, never shared state",
	}
	for _, p := range load(t) {
		for _, imp := range p.Imports {
			if why, bad := forbidden[imp]; bad {
				t.Errorf("%s imports %s <- %s", p.rel(), imp, why)
			}
		}
		for _, word := range []string{"util", "utils", "common", "helper", "helpers", "base", "misc", "types", "manager"} {
			if p.Name == word {
				t.Errorf("%s: a package named %q <- please name it after the noun of the field that it holds", p.rel(), word)
			}
		}
	}
}

func TestModuleStaysInstallable(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(mod), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod:%d: %q <- please remove it: `go install module@version` refuses modules with replace lines", i+1, line)
		}
	}
}

// Every direct dependency has its line in docs/dependencies.md.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatalf("%v <- please write it", err)
	}
	for _, line := range strings.Split(string(mod), "\n") {
		f := strings.Fields(strings.TrimPrefix(line, "require"))
		if len(f) == 2 && strings.Contains(f[0], ".") && strings.HasPrefix(f[1], "v") && !strings.Contains(string(doc), f[0]) {
			t.Errorf("go.mod requires %s, docs/dependencies.md does not name it <- please say why this one and what it replaces", f[0])
		}
	}
}
