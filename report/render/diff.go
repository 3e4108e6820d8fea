package render

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/temper-ml/temper/internal/config"
)

// mostFields is the most fields of a recipe that are told apart.
const mostFields = 5000

// flatten lists the fields of a recipe with their values: paths such as
// stages[0].lr.peak, in order. A text that is no YAML, or not of the form of one
// that people write, is one field of its lines.
func flatten(recipe string) []Fact {
	var out []Fact
	file, err := parsed([]byte(recipe))
	if err != nil || len(file.Docs) == 0 {
		for i, l := range strings.Split(recipe, "\n") {
			if i == mostFields {
				break
			}
			out = append(out, Fact{fmt.Sprintf("line %d", i+1), l})
		}
		return out
	}
	walk(file.Docs[0].Body, "", &out)
	return out
}

// parsed reads YAML, whose reader gives up on some malformed files by panicking.
func parsed(src []byte) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not understood as YAML (%v)", p)
		}
	}()
	if len(src) > config.MostBytes {
		return nil, fmt.Errorf("%d bytes", len(src))
	}
	if _, rule := config.Tangled(src, config.MostBytes); rule != "" {
		return nil, fmt.Errorf("%s", rule)
	}
	return parser.ParseBytes(src, 0)
}

func walk(n ast.Node, path string, out *[]Fact) {
	if len(*out) >= mostFields {
		return
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			walk(v, path, out)
		}
	case *ast.MappingValueNode:
		key := n.Key.GetToken().Value
		if path != "" {
			key = path + "." + key
		}
		walk(n.Value, key, out)
	case *ast.SequenceNode:
		if flat(n) {
			*out = append(*out, Fact{path, n.String()})
			return
		}
		for i, v := range n.Values {
			walk(v, fmt.Sprintf("%s[%d]", path, i), out)
		}
	case nil:
		*out = append(*out, Fact{path, ""})
	default:
		*out = append(*out, Fact{path, strings.TrimSpace(n.String())})
	}
}

// flat says that a sequence holds nothing that has fields.
func flat(n *ast.SequenceNode) bool {
	if !n.IsFlowStyle {
		return false
	}
	for _, v := range n.Values {
		switch v.(type) {
		case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
			return false
		}
	}
	return true
}
