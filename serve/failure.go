package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
)

// failure is an error in OpenAI's form.
type failure struct {
	status  int
	message string
	param   string // the field it is about
	code    string // for programs
	retry   time.Duration
}

// Error implements error.
func (f *failure) Error() string { return f.message }

// invalid refuses a field of a request.
func invalid(param, format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, param: param, message: fmt.Sprintf(format, args...)}
}

// unsupported refuses a field that asks for what there is not.
func unsupported(param, format string, args ...any) *failure {
	f := invalid(param, format, args...)
	f.code = "unsupported_parameter"
	return f
}

// failureOf is what a client is told of an error.
func failureOf(err error) *failure {
	var f *failure
	var field *chat.FieldError
	var refusal *data.Refusal
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &field):
		return invalid(field.Path, "%s", field.Error())
	case errors.As(err, &refusal):
		return invalid("", "%s", refusal.Rule)
	}
	return &failure{status: http.StatusBadRequest, message: err.Error()}
}

// kind is the type of an error, which clients choose their exceptions by.
func (f *failure) kind() string {
	switch {
	case f.status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case f.status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}

// body is the error as JSON.
func (f *failure) body() []byte {
	orNull := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return encode(map[string]any{"error": map[string]any{
		"message": cutTo(f.message, 2000), "type": f.kind(), "param": orNull(f.param), "code": orNull(f.code),
	}})
}

// send answers with the error.
func (f *failure) send(w http.ResponseWriter) {
	h := w.Header()
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.retry+time.Second-1)/time.Second)))
	}
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	sendJSON(w, f.status, f.body())
}

func sendJSON(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// encode is JSON without the escapes that only HTML needs.
func encode(v any) []byte {
	var b buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("serve: " + err.Error()) // maps of texts and finite numbers
	}
	return b[:len(b)-1]
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}
