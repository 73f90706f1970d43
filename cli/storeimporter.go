package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"jangbu/domain/event"
)

// importTarget is the store that events are imported into.
type importTarget interface {
	Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Position, error)
	ReadStream(ctx context.Context, stream string, from int64) iter.Seq2[event.Recorded, error]
}

// eventImporter appends lines of events to a store:
//
//	reader ─► runs: consecutive events of one stream ─► the stream's worker ─► Append at the exact revision
//	                                                                              │ conflict: compare, append the rest
//
// All runs of a stream go to one worker, so they stay in order. Memory is bounded: what the reader is ahead of the workers
// is at most inFlight bytes, or one event.
type eventImporter struct {
	store    importTarget
	name     string // of the file, for problems
	workers  int
	patience time.Duration
	show     func(done, read, bytes int64, all bool) // progress; called concurrently

	done, read, bytes, leftOut atomic.Int64
	all                        atomic.Bool // the file has been read to its end

	mu       sync.Mutex
	problems []importProblem
	tooMany  context.CancelCauseFunc
}

// importProblem is why a line, and with it the rest of its stream, was left out.
type importProblem struct {
	line int
	text string
}

const (
	runEvents   = 500
	runBytes    = 256 << 10
	inFlight    = 32 << 20
	waitingRuns = 256      // for one worker, so that the reader need not wait for a busy one while others are idle
	longestLine = 64 << 20 // an event has 16 MiB at most, anywhere
	mostImport  = 100      // problems before the import gives up
)

var errTooManyProblems = fmt.Errorf("stopped after %d problems", mostImport)

func newEventImporter(store importTarget, name string, workers int, patience time.Duration) *eventImporter {
	return &eventImporter{store: store, name: name, workers: workers, patience: patience, show: func(int64, int64, int64, bool) {}}
}

// eventRun is consecutive events of one stream, each on the line after the one before, blank ones aside.
type eventRun struct {
	stream string
	first  int64 // revision
	events []event.Proposed
	lines  []int
	bytes  int
}

// run imports until the end of r, or until what ends it all: the store away for longer than patience, too many problems,
// ctx. What is wrong with single lines and streams is a problem. A read that waits does not hold up the end of ctx.
func (im *eventImporter) run(ctx context.Context, r io.Reader) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	im.tooMany = stop
	queues := make([]chan *eventRun, im.workers)
	var working sync.WaitGroup
	room := newRoom(inFlight)
	for i := range queues {
		queues[i] = make(chan *eventRun, waitingRuns)
		working.Go(func() {
			if err := im.work(ctx, queues[i], room); err != nil {
				stop(err)
			}
		})
	}
	finished := make(chan error, 1)
	go func() {
		err := im.deal(ctx, r, queues, room)
		for _, q := range queues {
			close(q)
		}
		finished <- err
	}()
	select {
	case err := <-finished:
		if err != nil {
			stop(err)
		}
	case <-ctx.Done():
	}
	working.Wait()
	return context.Cause(ctx)
}

// deal reads r and gives each run to the worker of its stream.
func (im *eventImporter) deal(ctx context.Context, r io.Reader, queues []chan *eventRun, room *room) error {
	seed := maphash.MakeSeed()
	give := func(run *eventRun) error {
		if run == nil {
			return nil
		}
		if err := room.take(ctx, run.bytes); err != nil {
			return err
		}
		select {
		case queues[maphash.String(seed, run.stream)%uint64(len(queues))] <- run:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<20), longestLine)
	var run *eventRun
	number := 0
	for lines.Scan() {
		number++
		im.bytes.Add(int64(len(lines.Bytes()) + 1))
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		e, err := parseLine(lines.Bytes())
		if err != nil {
			im.leftOut.Add(1)
			im.problem(number, "%v", err)
			continue
		}
		im.read.Add(1)
		if !run.take(e, number) {
			if err := give(run); err != nil {
				return err
			}
			run = &eventRun{stream: e.Stream, first: e.Revision}
			run.take(e, number)
		}
	}
	if err := lines.Err(); err != nil {
		return errors.Join(fmt.Errorf("%s:%d: %w", im.name, number+1, err), give(run))
	}
	im.all.Store(true)
	return give(run)
}

// take adds the event if it is the next of this run.
func (r *eventRun) take(e event.Recorded, line int) bool {
	size := len(e.Type) + len(e.Data) + len(e.Metadata)
	if r == nil || len(r.events) > 0 && (e.Stream != r.stream || e.Revision != r.first+int64(len(r.events)) ||
		len(r.events) == runEvents || r.bytes+size > runBytes) {
		return false
	}
	r.events = append(r.events, event.Proposed{ID: e.ID, Type: e.Type, Data: e.Data, Metadata: e.Metadata})
	r.lines = append(r.lines, line)
	r.bytes += size
	return true
}

// work appends the runs of some streams. A stream with a problem is left out from there on.
func (im *eventImporter) work(ctx context.Context, queue <-chan *eventRun, room *room) error {
	broken := map[string]bool{}
	for {
		select {
		case run, more := <-queue:
			if !more {
				return nil
			}
			if err := im.workOn(ctx, run, broken); err != nil {
				return err
			}
			room.leave(run.bytes)
		case <-ctx.Done():
			return nil
		}
	}
}

func (im *eventImporter) workOn(ctx context.Context, run *eventRun, broken map[string]bool) error {
	if broken[run.stream] {
		im.leftOut.Add(int64(len(run.events)))
		return nil
	}
	landed, err := im.land(ctx, run)
	im.done.Add(int64(landed))
	im.show(im.done.Load(), im.read.Load(), im.bytes.Load(), im.all.Load())
	var wrong *wrongEvent
	if errors.As(err, &wrong) {
		broken[run.stream] = true
		im.leftOut.Add(int64(len(run.events) - landed))
		im.problem(run.lines[wrong.index], "%s", wrong.text)
		return nil
	}
	return err
}

// problem notes what is wrong with a line, and ends the import when it is one too many.
func (im *eventImporter) problem(line int, format string, args ...any) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if len(im.problems) < mostImport {
		im.problems = append(im.problems, importProblem{line, fmt.Sprintf(format, args...)})
	}
	if len(im.problems) == mostImport {
		im.tooMany(errTooManyProblems)
	}
}

// reported is every problem, by line.
func (im *eventImporter) reported() []importProblem {
	im.mu.Lock()
	defer im.mu.Unlock()
	return slices.SortedFunc(slices.Values(im.problems), func(a, b importProblem) int { return cmp.Compare(a.line, b.line) })
}

// room is a number of bytes that one may fill and many may free. What is larger than all of it waits until it is empty.
type room struct{ blocks chan struct{} }

const roomBlock = 4 << 10

func newRoom(size int) *room { return &room{blocks: make(chan struct{}, size/roomBlock)} }

// size is how many blocks so many bytes take.
func (r *room) size(bytes int) int { return min(1+bytes/roomBlock, cap(r.blocks)) }

// take fills the room, as soon as there is enough of it. Only one caller may take at a time.
func (r *room) take(ctx context.Context, bytes int) error {
	for range r.size(bytes) {
		select {
		case r.blocks <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (r *room) leave(bytes int) {
	for range r.size(bytes) {
		<-r.blocks
	}
}
