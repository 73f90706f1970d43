package importer

import (
	"container/heap"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"
)

// state is where a step stands.
type state int

const (
	waiting state = iota
	done
	failed
)

// runner walks a plan. Only its coordinator, execute, touches its fields while workers post.
type runner struct {
	cfg      Config
	client   *client
	steps    []step
	states   []state
	causes   []Place // of failed steps: the row that is to blame
	pending  []int   // how many steps each step still waits for
	unblocks [][]int // the steps that wait for each step
	ready    intHeap // steps that wait for nothing, the earliest first
	asleep   dueHeap // steps that wait for their time alone
	putOff   map[int]*putOff
	problems problems
	done     map[Kind]int
	ended    map[Kind]int
	total    map[Kind]int
	resumed  bool
}

func (r *runner) run(ctx context.Context, f *folder) error {
	shop, err := r.survey(ctx, f)
	if err != nil {
		return fmt.Errorf("look at what is there: %w", err)
	}
	r.resumed = shop.resumed
	r.prepare(plan(f, shop))
	return r.execute(ctx)
}

func (r *runner) prepare(steps []step) {
	n := len(steps)
	r.steps, r.states, r.causes = steps, make([]state, n), make([]Place, n)
	r.pending, r.unblocks, r.putOff = make([]int, n), make([][]int, n), map[int]*putOff{}
	r.done, r.ended, r.total = map[Kind]int{}, map[Kind]int{}, map[Kind]int{}
	for i := range steps {
		r.total[steps[i].kind]++
		for _, before := range [][]int{steps[i].needs, steps[i].follows} {
			r.pending[i] += len(before)
			for _, j := range before {
				r.unblocks[j] = append(r.unblocks[j], i)
			}
		}
		if r.pending[i] == 0 {
			r.ready = append(r.ready, i)
		}
	}
	for _, k := range kinds {
		if r.total[k] > 0 {
			r.tell(k)
		}
	}
}

// The bounds of a batch: commands, and bytes of their bodies.
const (
	maxBatch      = 100
	maxBatchBytes = 256 << 10
)

type result struct {
	batch   []int
	answers []answer
	err     error
}

// execute hands batches of steps to workers as they become ready, until all have ended or one cannot be answered. Steps of
// one batch do not wait for each other: each was ready. A step that is answered to come later is ready again then, and no
// worker waits for it.
func (r *runner) execute(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work, results := make(chan []int), make(chan result)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(work)
	for range r.cfg.Workers {
		workers.Go(func() { r.postAll(ctx, work, results) })
	}
	var stopped error
	stop := func(err error) {
		if err != nil && stopped == nil {
			stopped = err
			cancel()
		}
	}
	for busy := 0; ; {
		next := r.wake()
		for stopped == nil && busy < r.cfg.Workers {
			batch := r.take()
			if len(batch) == 0 {
				break
			}
			work <- batch
			busy++
		}
		if busy == 0 && (stopped != nil || next == nil) {
			return stopped
		}
		interrupted := ctx.Done()
		if stopped != nil {
			next, interrupted = nil, nil // only the workers have to come to their end
		}
		select {
		case res := <-results:
			busy--
			stop(res.err)
			if res.err == nil {
				stop(r.settle(res))
			}
		case <-next:
		case <-interrupted:
			stop(context.Cause(ctx))
		}
	}
}

// postAll is a worker.
func (r *runner) postAll(ctx context.Context, work <-chan []int, results chan<- result) {
	for batch := range work {
		steps := make([]*step, len(batch))
		for k, i := range batch {
			steps[k] = &r.steps[i]
		}
		answers, err := r.client.post(ctx, steps)
		results <- result{batch, answers, err}
	}
}

// take removes the earliest steps that can be posted: so many that every worker gets a share, and no more than fit a
// batch.
func (r *runner) take() (batch []int) {
	size, share := 0, max(1, min(maxBatch, len(r.ready)/r.cfg.Workers))
	for len(batch) < share && size < maxBatchBytes {
		i := r.next()
		if i < 0 {
			break
		}
		heap.Pop(&r.ready)
		batch, size = append(batch, i), size+len(r.steps[i].body)
	}
	return batch
}

// next is the earliest step that can be posted, or -1. Steps that no longer make sense end here.
func (r *runner) next() int {
	for len(r.ready) > 0 {
		i := r.ready[0]
		s := &r.steps[i]
		if s.wrong != "" {
			heap.Pop(&r.ready)
			r.problems.add(s.at, "%s", s.wrong)
			r.end(i, failed, s.at)
			continue
		}
		cause, because := s.blocked, ""
		for _, j := range s.needs {
			if r.states[j] == failed {
				cause, because = r.causes[j], " ("+r.steps[j].what+")"
				break
			}
		}
		if cause == (Place{}) {
			return i
		}
		heap.Pop(&r.ready)
		r.problems.skip(s.at, "%s skipped because of %s%s", s.what, cause, because)
		r.end(i, failed, cause)
	}
	return -1
}

// settle notes the answers to a batch. The error says why the run has to stop.
func (r *runner) settle(res result) (stop error) {
	for k, i := range res.batch {
		a, s := res.answers[k], &r.steps[i]
		if a.later() {
			if err := r.later(i, a); err != nil {
				stop = err
			}
			continue
		}
		delete(r.putOff, i)
		if a.good(s) {
			r.done[s.kind]++
			r.end(i, done, Place{})
			continue
		}
		at := s.blame(a)
		r.problems.add(at, "%s: %s", s.what, a.text())
		r.end(i, failed, at)
	}
	return stop
}

func (r *runner) end(i int, how state, cause Place) {
	r.states[i], r.causes[i] = how, cause
	for _, j := range r.unblocks[i] {
		if r.pending[j]--; r.pending[j] == 0 {
			heap.Push(&r.ready, j)
		}
	}
	r.ended[r.steps[i].kind]++
	r.tell(r.steps[i].kind)
}

func (r *runner) tell(k Kind) {
	if r.cfg.Progress != nil {
		r.cfg.Progress(k, r.ended[k], r.total[k])
	}
}

func (r *runner) counts() []Count {
	var out []Count
	for _, k := range kinds {
		out = append(out, Count{Kind: k, Done: r.done[k], Total: r.total[k]})
	}
	return out
}

var linePointer = regexp.MustCompile(`^/lines/(\d+)(/|$)`)

// blame is the row an answer is about: a line of the order when the answer points at one.
func (s *step) blame(a answer) Place {
	for _, e := range a.problem.Errors {
		if m := linePointer.FindStringSubmatch(e.Pointer); m != nil {
			if i, err := strconv.Atoi(m[1]); err == nil && i < len(s.lines) {
				return s.lines[i]
			}
		}
	}
	return s.at
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	n := len(old) - 1
	*h = old[:n]
	return old[n]
}
