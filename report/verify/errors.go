package verify

import "errors"

// ErrState says that a state that was loaded is not the one that the record names.
var ErrState = errors.New("not the state that the record names")
