package linkbench

import (
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Options says how long to measure. The zero value takes some seconds.
type Options struct {
	Sizes   []int         // bytes of a message; default 1 B to 16 MiB
	Samples int           // of each size; default 5
	Time    time.Duration // of one sample; default 20 ms
}

func (o Options) withDefaults() Options {
	if o.Sizes == nil {
		for n := 1; n <= 16<<20; n *= 16 {
			o.Sizes = append(o.Sizes, n)
		}
	}
	if o.Samples == 0 {
		o.Samples = 5
	}
	if o.Time == 0 {
		o.Time = 20 * time.Millisecond
	}
	return o
}

// Point is the time of one message of some size, one way.
type Point struct {
	Bytes   int
	Seconds float64 // of the fastest sample
	Median  float64
}

// Link is one way for two ranks to reach each other.
type Link struct {
	Name      string
	Latency   float64 // seconds of the smallest message
	Bandwidth float64 // bytes/s of the largest message: smaller ones may stay in a cache
	Points    []Point
	Samples   int
}

// Measure measures the links "process" (goroutines of one process) and
// "loopback" (TCP on this machine).
func Measure(o Options) ([]Link, error) {
	o = o.withDefaults()
	most := 0
	for _, n := range o.Sizes {
		if n < 1 || n > 1<<30 {
			return nil, fmt.Errorf("linkbench: sizes must be from 1 to %d bytes, got %d", 1<<30, n)
		}
		most = max(most, n)
	}
	var links []Link
	for _, l := range []struct {
		name string
		pair func(most int) (*pair, error)
	}{{"process", channels}, {"loopback", loopback}} {
		p, err := l.pair(most)
		if err != nil {
			return nil, fmt.Errorf("linkbench: %s: %w", l.name, err)
		}
		link, err := p.measure(l.name, o)
		p.close()
		if err != nil {
			return nil, fmt.Errorf("linkbench: %s: %w", l.name, err)
		}
		links = append(links, link)
	}
	return links, nil
}

// pair is two ends: trip sends n bytes there and as many back, copied out at
// both.
type pair struct {
	trip  func(n int) error
	close func()
}

// measure takes the points and reads latency and bandwidth off them.
func (p *pair) measure(name string, o Options) (Link, error) {
	l := Link{Name: name, Samples: o.Samples}
	for _, n := range o.Sizes {
		var times []float64
		for range o.Samples {
			s, err := p.fastest(n, o.Time)
			if err != nil {
				return l, err
			}
			times = append(times, s)
		}
		at := Point{Bytes: n, Seconds: slices.Min(times), Median: median(times)}
		l.Points = append(l.Points, at)
		if l.Latency == 0 || at.Seconds < l.Latency {
			l.Latency = at.Seconds
		}
		if n == slices.Max(o.Sizes) {
			l.Bandwidth = float64(n) / at.Seconds
		}
	}
	return l, nil
}

// fastest returns the least time of a message one way over about d.
func (p *pair) fastest(n int, d time.Duration) (float64, error) {
	const burst = 200 * time.Microsecond
	best := 0.0
	for start := time.Now(); best == 0 || time.Since(start) < d; {
		trips, begin := 0, time.Now()
		for trips == 0 || time.Since(begin) < burst {
			if err := p.trip(n); err != nil {
				return 0, err
			}
			trips++
		}
		if s := time.Since(begin).Seconds() / float64(2*trips); best == 0 || s < best {
			best = s
		}
	}
	return best, nil
}

// channels links two goroutines: a message is a slice that is handed over and
// copied by who gets it, as ranks of one process do.
func channels(most int) (*pair, error) {
	there, back := make(chan []byte), make(chan []byte)
	mine, theirs, in, inTheirs := filled(most), filled(most), filled(most), filled(most)
	go func() {
		for m := range there {
			copy(inTheirs, m)
			back <- theirs[:len(m)]
		}
	}()
	return &pair{
		trip: func(n int) error {
			there <- mine[:n]
			copy(in, <-back)
			return nil
		},
		close: func() { close(there) },
	}, nil
}

// loopback links two ends of a TCP connection.
func loopback(most int) (*pair, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	mine, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	theirs, err := l.Accept()
	if err != nil {
		mine.Close()
		return nil, err
	}
	size := make(chan int)
	go echo(theirs, size, filled(most))
	out, in := filled(most), filled(most)
	return &pair{
		trip: func(n int) error {
			size <- n
			if _, err := mine.Write(out[:n]); err != nil {
				return err
			}
			_, err := io.ReadFull(mine, in[:n])
			return err
		},
		close: func() { close(size); mine.Close(); theirs.Close() },
	}, nil
}

// filled returns n bytes in memory of their own: what was never written may all
// be one page of zeros.
func filled(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// echo answers each message with one as long.
func echo(c net.Conn, size <-chan int, buf []byte) {
	for n := range size {
		if _, err := io.ReadFull(c, buf[:n]); err != nil {
			c.Close() // the other end sees it
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}
