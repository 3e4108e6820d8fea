package workers

// maxDrivers is how many goroutines may share the threads out; more take turns.
const maxDrivers = 4

// Beside calls f, which computes while other goroutines do. Until it returns, the
// threads are shared out to as many as compute: each has its own, and none waits for
// another's. With no more threads than goroutines, each computes alone.
func Beside(f func()) { shared.beside(1, f) }

// Aside calls f, in which the caller waits for a goroutine that computes [Beside] it:
// that one has its threads meanwhile.
func Aside(f func()) { shared.beside(-1, f) }

func (p *pool) beside(n int32, f func()) {
	p.drivers.Add(n)
	defer p.drivers.Add(-n)
	f()
}

// hire returns a crew that serves nobody, and how many threads it may be together with
// the caller; nil if there is none, or no thread for it.
func (p *pool) hire() (*crew, int) {
	threads, drivers := int(p.threads.Load()), max(int(p.drivers.Load()), 1)
	for i := range min(drivers, maxDrivers) {
		share := threads / drivers
		if i < threads%drivers {
			share++
		}
		if share <= 1 {
			break
		}
		if c := &p.crews[i]; c.busy.CompareAndSwap(false, true) {
			return c, share
		}
	}
	return nil, 1
}
