package serve

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/temper-ml/temper/internal/httpguard"
)

// Options say who is served, and with how much. Zero values stand for defaults.
type Options struct {
	// Names are what the model is called; the first one is told. At least one.
	Names []string
	// Fingerprint tells this model with its tokenizer and encoding from others.
	Fingerprint string
	// Thinking is the mode of requests that do not say it.
	Thinking bool
	// Token is what requests must bring as their bearer, unless it is empty. Without
	// one, only those who call the server by a name it has are served.
	Token string
	// Hosts are names that the server is called by beside those of its address.
	Hosts []string
	// MaxBody is how many bytes a request may have: 1 MiB and 16 for each token of
	// the context.
	MaxBody int64
	// MaxBodies is how many bytes all requests may have that are being read: 64 MiB,
	// or 8 requests of MaxBody if that is more.
	MaxBodies int64
	// MaxChoices is how many answers a request may ask for: 32.
	MaxChoices int
	// Grace is how long running answers have when the server is stopped: 30 seconds.
	// A negative one is none.
	Grace time.Duration
	// Log tells of what goes wrong on this side and, with Access, of every request.
	Log    *slog.Logger
	Access bool
	// Now is the clock, and Seed draws seeds for requests without one: the machine's.
	Now  func() time.Time
	Seed func() uint64
}

// times are limits of time, so that a slow client holds nothing up.
type times struct {
	header, idle time.Duration
	body         time.Duration // from the head of a request to the end of its body
	write        time.Duration // for the client to take what is written to it
	beat         time.Duration // of a stream on which nothing happens
	linger       time.Duration // to read what a refused client is still sending
	last         time.Duration // to tell clients that the server is stopped
}

var usualTimes = times{
	header: 10 * time.Second, idle: 2 * time.Minute, body: 30 * time.Second, write: 30 * time.Second,
	beat: 15 * time.Second, linger: 10 * time.Second, last: 3 * time.Second,
}

// How many connections are served at once, and from one address that is not of
// this machine; and how many bytes the head of a request has.
const (
	maxConns        = 2048
	maxConnsAddress = 512
	maxHeader       = 16 << 10
)

// fill completes o for a context.
func (o *Options) fill(context int) error {
	if len(o.Names) == 0 || o.Names[0] == "" {
		return fmt.Errorf("serve: the model has no name")
	}
	if o.MaxBody == 0 {
		o.MaxBody = 1<<20 + 16*int64(context)
	}
	if o.MaxBodies == 0 {
		o.MaxBodies = max(64<<20, 8*o.MaxBody)
	}
	if o.MaxChoices == 0 {
		o.MaxChoices = 32
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Seed == nil {
		o.Seed = RandomSeed
	}
	if o.MaxBody < 1<<10 || o.MaxBodies < o.MaxBody || o.MaxChoices < 1 {
		return fmt.Errorf("serve: at most %d bytes a request, %d of all, %d choices: want at least %d, as much as one request, and 1", o.MaxBody, o.MaxBodies, o.MaxChoices, 1<<10)
	}
	hosts := make([]string, len(o.Hosts))
	for i, h := range o.Hosts {
		hosts[i] = httpguard.HostName(h)
	}
	o.Hosts = hosts
	return nil
}

// RandomSeed draws a seed that every language reads exactly from JSON.
func RandomSeed() uint64 {
	return binary.LittleEndian.Uint64(randomBytes(8)) >> 12
}

// randomBytes never fails: see crypto/rand.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
