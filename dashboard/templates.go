package dashboard

import (
	"html/template"
	"strings"
)

// templates are the pages. Everything a record says goes through their
// escaping, and no page holds a script or a style.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"words": strings.Fields,
	"count": func(n int) string { return count(int64(n)) },
}).ParseFS(assets, "assets/*.tmpl"))
