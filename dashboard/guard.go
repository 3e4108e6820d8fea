package dashboard

import (
	"net/http"
	"regexp"

	"github.com/temper-ml/temper/internal/httpguard"
)

// policy lets a page load what this server has and nothing else; neither
// scripts nor styles may stand in the page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// headers of every answer.
var headers = map[string]string{
	"Content-Security-Policy":      policy,
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
	"Cache-Control":                "no-store",
}

// guard refuses what no reader of pages asks: other methods, bodies, and hosts
// that this server is not called by. The last keeps a page of another site,
// whose name was made to point here, from reading answers.
type guard struct {
	names []string // of this server, lower case
	next  http.Handler
}

// ServeHTTP implements [http.Handler].
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for k, v := range headers {
		w.Header().Set(k, v)
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD: nothing can be changed here")
	case !httpguard.Named(r, g.names):
		refuse(w, http.StatusMisdirectedRequest, "this server is not called by that name; --host NAME allows one more")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		refuse(w, http.StatusRequestEntityTooLarge, "no bodies")
	case len(r.URL.RequestURI()) > maxAddress:
		refuse(w, http.StatusRequestURITooLong, "the address is too long")
	default:
		g.next.ServeHTTP(w, r)
	}
}

// maxAddress is how long the address of a page may be.
const maxAddress = 4096

// refuse answers with a reason and gives the connection up.
func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(why + "\n"))
}

// secret is the text of a signing key, as it stands and as HTML or JSON spell it.
var secret = regexp.MustCompile(`PRIVATE(?:\+|&#43;|\\u002[bB])KEY[^\s"'<>\\]*`)

// withhold takes signing keys out of an answer: no record should hold one, but
// a recipe or a note is what somebody typed.
func withhold(b []byte) []byte {
	return secret.ReplaceAll(b, []byte("(signing key withheld)"))
}
