package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/render"
	"github.com/temper-ml/temper/report/runlog"
)

// How often the hub looks, and how much it reads of a run at a time.
const (
	tick     = time.Second
	slice    = 2 << 20 // bytes of log, about 20 ms
	scanning = 3 * time.Second
)

// hub follows all runs below a directory.
type hub struct {
	dir    string
	budget *budget
	now    func() time.Time

	mu      sync.RWMutex
	root    *os.Root
	runs    []*run // in the order of their paths
	byID    map[string]*run
	short   string // why not all runs are shown
	failed  error  // why the directory cannot be read
	scanned time.Time
	pause   time.Duration // until the next scan
	version int64         // of the list of runs

	events    subscribers
	refreshed func() // called after each look, if not nil
}

func newHub(dir string, memory int64, now func() time.Time) *hub {
	return &hub{dir: dir, budget: newBudget(memory), now: now, byID: map[string]*run{}}
}

// watch follows the runs until the context ends.
func (h *hub) watch(ctx context.Context) {
	for ctx.Err() == nil {
		wait := tick
		if h.look() {
			wait = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.root != nil {
		h.root.Close()
		h.root = nil
	}
}

// look takes one look at everything; more says that there is more to read.
func (h *hub) look() (more bool) {
	if now := h.now(); now.Sub(h.scanned) >= h.pause || now.Before(h.scanned) {
		h.scan()
		// A large tree, or a slow disk, is searched less often.
		h.pause = max(scanning, 20*h.now().Sub(now))
		h.scanned = h.now()
	}
	h.mu.RLock()
	runs, root := slices.Clone(h.runs), h.root
	h.mu.RUnlock()
	for _, r := range runs {
		changed, behind := r.poll(root, h.now())
		more = more || behind
		if changed {
			h.events.notify(r.id)
		}
	}
	if h.refreshed != nil {
		h.refreshed()
	}
	return more
}

// scan finds runs that appeared and forgets those that are gone.
func (h *hub) scan() {
	// Opened anew each time: the directory may be a new one of the old name.
	root, err := os.OpenRoot(h.dir)
	var list []found
	var short string
	if err == nil {
		list, short, err = search(root)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.root != nil {
		h.root.Close()
	}
	h.root, h.failed, h.short = root, err, short
	runs := make([]*run, 0, len(list))
	byID := map[string]*run{}
	changed := len(list) != len(h.runs)
	for _, f := range list {
		id := identifier(f)
		r := h.byID[id]
		if r == nil {
			r = &run{id: id, path: f.path, name: f.name, known: known{table: newTable(h.budget)}}
			changed = true
		}
		byID[id] = r
		runs = append(runs, r)
	}
	for id, r := range h.byID {
		if byID[id] == nil {
			r.mu.Lock()
			r.reset()
			r.mu.Unlock()
		}
	}
	slices.SortFunc(runs, func(a, b *run) int { return cmp.Compare(a.path, b.path) })
	h.runs, h.byID = runs, byID
	if changed {
		h.version++
		h.events.notify("")
	}
}

// find returns the run of an identifier, nil without one.
func (h *hub) find(id string) *run {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.byID[id]
}

// all returns the runs in the order of their paths, and what a reader of the
// list must know.
func (h *hub) all() (runs []*run, remark string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	remark = h.short
	if h.failed != nil {
		remark = "the directory cannot be read: " + reason(h.failed)
	}
	return slices.Clone(h.runs), remark
}

// reason is an error without the paths of the machine.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// idle is how long a run that does not change is left alone.
func (r *run) idle(now time.Time) time.Duration {
	switch s, _ := r.state(now); s {
	case Live, Reading:
		return 0
	case Ended, Failed:
		return 20 * time.Second
	}
	return 4 * time.Second
}

// poll reads what was added to a run.
func (r *run) poll(root *os.Root, now time.Time) (changed, behind bool) {
	if root == nil {
		return false, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before, _ := r.state(now)
	if !r.polled.IsZero() && now.Sub(r.polled) < r.idle(now) {
		return false, false
	}
	r.polled = now
	defer func() {
		// What a file holds is checked before it is used; should that miss
		// something, this run is lost and not the server.
		if p := recover(); p != nil {
			r.failed, r.behind = fmt.Errorf("temper failed on this record: %v", p), false
			debug.PrintStack()
			changed, behind = true, false
		}
		after, _ := r.state(now)
		changed = changed || after != before
	}()
	return r.read(root, now)
}

func (r *run) read(root *os.Root, now time.Time) (changed, behind bool) {
	log, err := open(root, path.Join(r.path, runlog.LogName), fs.FileMode.IsRegular)
	if err != nil {
		return r.fail(err), false
	}
	defer log.Close()
	heads, err := open(root, path.Join(r.path, runlog.HeadsName), fs.FileMode.IsRegular)
	if err != nil {
		return r.fail(err), false
	}
	defer heads.Close()
	l, err1 := log.Stat()
	s, err2 := heads.Stat()
	if err := errors.Join(err1, err2); err != nil {
		return r.fail(err), false
	}
	m, err := root.Lstat(path.Join(r.path, runlog.ManifestName))
	if err != nil {
		return r.fail(err), false
	}
	if r.log != nil && (!os.SameFile(r.log, l) || !os.SameFile(r.leaf0, m) || !same(r.leaf0, m)) { // another record of the same name
		r.reset()
		changed = true
	}
	if !r.behind && r.failed == nil && r.log != nil && same(r.log, l) && same(r.heads, s) {
		return changed, false
	}
	live := r.log != nil && !r.behind
	r.log, r.heads, r.leaf0, r.size = l, s, m, l.Size()
	if r.follower == nil {
		if err := r.begins(root); err != nil {
			return r.fail(err) || changed, false
		}
	}
	entries := r.entries
	before := r.failed
	r.behind, err = r.follower.Poll(log, heads, slice, r.take)
	r.done = r.follower.Size()
	r.failed = err
	if before != nil && err != nil && before.Error() == err.Error() && r.entries == entries {
		return changed, false
	}
	if live && r.entries > entries {
		r.grew = now
	}
	return true, r.behind
}

func same(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// fail keeps why a run cannot be read.
func (r *run) fail(err error) (changed bool) {
	changed = r.failed == nil || r.failed.Error() != err.Error()
	r.failed, r.behind = err, false
	return changed
}

// begins reads the manifest.
func (r *run) begins(root *os.Root) error {
	f, err := open(root, path.Join(r.path, runlog.ManifestName), fs.FileMode.IsRegular)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, record.MaxSize+2))
	if err != nil {
		return err
	}
	if r.follower, err = runlog.NewFollower(text, runlog.Trust{}); err != nil {
		return err
	}
	r.manifest = r.follower.Manifest
	r.facts = render.NewFiller(&r.manifest).Run()
	// What is large and shown from facts alone is not kept twice.
	r.follower.Manifest = record.Manifest{}
	r.manifest.Model, r.manifest.Recipe, r.manifest.Architecture = nil, "", ""
	r.manifest.Program, r.manifest.Links, r.manifest.Data = record.Program{}, nil, nil
	return nil
}
