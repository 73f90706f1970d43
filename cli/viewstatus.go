package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"jangbu/cli/term"
	"jangbu/domain/event"
	"jangbu/infra/bus"
	"jangbu/infra/eventstore"
	"jangbu/infra/readmodel"
	"jangbu/infra/schedule"
	"jangbu/projector"
	"jangbu/query/row"
	"jangbu/query/view"
)

// reading is how somebody who is told of events by a queue is doing: a view, or fulfilment.
type reading struct {
	View       string       `json:"view"`
	Status     string       `json:"status"`      // "ok", or what is wrong
	Position   string       `json:"position"`    // verified: everything up to here has been dealt with
	LagEvents  int64        `json:"lag_events"`  // recorded after the position and not dealt with, counted up to a limit
	LagSeconds float64      `json:"lag_seconds"` // since the oldest of them was recorded
	Queue      *queueStatus `json:"queue"`       // null: SQS was away, or there is no queue

	more bool // than LagEvents
}

// viewStatus is how one view is doing.
type viewStatus struct {
	reading
	Generation int64 `json:"generation"`
	Version    int   `json:"version"` // of the view's code that built the generation
	Building   int64 `json:"building,omitempty"`
	Documents  int64 `json:"documents"`
	Parked     int64 `json:"parked"` // streams
	Healed     int64 `json:"healed"` // events that no message had brought
}

// statusLine is a line of what views prints.
type statusLine interface {
	well() bool
	cells() []string // under the headings
}

type queueStatus struct {
	Waiting  int `json:"waiting"`
	InFlight int `json:"in_flight"`
	Dead     int `json:"dead"` // in the dead-letter queue
}

const (
	statusOK  = "ok"
	maxLag    = 10000 // how far lag is counted
	watchLag  = 1000  // the same for a look each second
	queueTime = 3 * time.Second
	stallTime = 30 * time.Second // how long the log may go on without the verified position
)

// observer looks at views, and at fulfilment.
type observer struct {
	store *eventstore.Store
	model *readmodel.Store
	due   *schedule.Schedule
	queue func(view string) *bus.Queue // nil: there is no bus
	limit int                          // how far lag is counted
}

// look looks at every view, and then at fulfilment. What it does not learn of the queues, and why, is a note; all else
// must be there.
func (o *observer) look(ctx context.Context) (all []statusLine, note, err error) {
	views := view.All()
	found := make([]viewStatus, len(views))
	depths, notes := make([]*queueStatus, len(views)+1), make([]error, len(views)+1)
	head, err := o.store.Head(ctx)
	if err != nil && !errors.Is(err, event.ErrStreamNotFound) {
		return nil, nil, err
	}
	g, running := errgroup.WithContext(ctx)
	for i, v := range views {
		g.Go(func() (err error) {
			found[i], err = o.lookAt(running, v, head.Position)
			return err
		})
		g.Go(func() error {
			depths[i], notes[i] = o.depth(running, v.Name)
			return nil
		})
	}
	var orders fulfilmentStatus
	g.Go(func() (err error) {
		orders, err = o.lookAtFulfilment(running)
		return err
	})
	last := len(views)
	g.Go(func() error {
		depths[last], notes[last] = o.depth(running, fulfilmentQueue)
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	if errors.Is(notes[last], event.ErrNotProvisioned) { // where nobody has run it, that is no trouble of the queues
		orders.wrong("no queue yet")
		notes[last] = nil
	}
	for i := range found {
		found[i].Queue = depths[i]
		all = append(all, found[i])
	}
	orders.Queue = depths[last]
	for _, err := range notes {
		if note == nil {
			note = err
		}
	}
	return append(all, orders), note, nil
}

func (o *observer) depth(ctx context.Context, view string) (*queueStatus, error) {
	if o.queue == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueTime)
	defer cancel()
	d, err := o.queue(view).Depth(ctx)
	if err != nil {
		return nil, err
	}
	return &queueStatus{Waiting: d.Visible + d.Delayed, InFlight: d.InFlight, Dead: d.Dead}, nil
}

func (o *observer) lookAt(ctx context.Context, v *view.View, head event.Position) (viewStatus, error) {
	registry, err := o.model.Peek(ctx, v.Name)
	if err != nil {
		return viewStatus{}, err
	}
	s := viewStatus{
		reading:    reading{View: v.Name, Position: registry.At.String()},
		Generation: registry.Live.Number, Version: registry.Version, Building: registry.Building.Number, Healed: registry.Healed,
	}
	if registry.Live.Number > 0 {
		if s.Documents, err = o.model.Documents(ctx, registry.Live, v.Compose != nil); err != nil {
			return viewStatus{}, err
		}
		parked, err := o.model.ParkedIn(ctx, registry.Live)
		if err != nil {
			return viewStatus{}, err
		}
		s.Parked = int64(len(parked))
	}
	lag, err := projector.LagOf(ctx, o.store, o.model, v, registry, o.limit)
	if err != nil {
		return viewStatus{}, err
	}
	now := time.Now()
	s.lag(lag, lag.Events >= int64(o.limit), now)
	var behind time.Time // since when the log has had events after the verified position
	if registry.At.Compare(head) < 0 {
		if behind, err = o.behind(ctx, registry); err != nil {
			return viewStatus{}, err
		}
	}
	_, ahead, err := projector.Ahead(ctx, o.store, registry.At)
	if err != nil {
		return viewStatus{}, err
	}
	s.Status = statusOf(v, registry, s.Parked, behind, ahead, now)
	if registry.Live.Number > 0 {
		switch fault := o.model.Intact(ctx, registry.Live); {
		case errors.Is(fault, row.ErrHalf), errors.Is(fault, row.ErrDoubt):
			s.Status = fault.Error() // a projector builds it anew
		case fault != nil:
			return viewStatus{}, fault
		}
	}
	return s, nil
}

// behind tells since when the log has had events after the verified position; zero: it has none.
func (o *observer) behind(ctx context.Context, registry row.Registry) (time.Time, error) {
	for e, err := range o.store.ReadAll(ctx, registry.At) {
		if err != nil {
			return time.Time{}, err
		}
		if e.Time.Before(registry.Moved) {
			return registry.Moved, nil
		}
		return e.Time, nil
	}
	return time.Time{}, nil
}

// statusOf says all that is wrong with a view.
func statusOf(v *view.View, registry row.Registry, parked int64, behind time.Time, ahead bool, now time.Time) string {
	var wrong []string
	switch {
	case registry.Live.Number > 0:
		if registry.Version != v.Version {
			wrong = append(wrong, fmt.Sprintf("version %d, code %d", registry.Version, v.Version))
		}
		if !behind.IsZero() && now.Sub(behind) > stallTime {
			wrong = append(wrong, "stalled since "+clock(behind, now))
		}
		if ahead {
			wrong = append(wrong, "ahead of the log")
		}
	case registry.Building.Number > 0:
		wrong = append(wrong, "building")
	default:
		wrong = append(wrong, "not built yet")
	}
	if !registry.Silent.IsZero() {
		wrong = append(wrong, "silent since "+clock(registry.Silent, now))
	}
	if parked > 0 {
		wrong = append(wrong, "parked "+term.Count(parked))
	}
	if len(wrong) == 0 {
		return statusOK
	}
	return strings.Join(wrong, ", ")
}

// clock writes a moment as local time, with the day unless that is today.
func clock(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format(time.TimeOnly)
	}
	return at.Format(time.DateTime)
}

// headings are the table's columns, which cells fills.
var headings = []string{"VIEW", "GENERATION>", "VERSION>", "DOCUMENTS>", "VERIFIED UP TO>", "LAG>", "OLDEST>", "QUEUE>", "DEAD>",
	"PARKED>", "HEALED>", "STATUS"}

func (s viewStatus) cells() []string {
	generation, version := fmt.Sprint(s.Generation), fmt.Sprint(s.Version)
	if s.Generation == 0 {
		generation, version = "none yet", "-"
	}
	if s.Building > 0 {
		generation += fmt.Sprintf(" (building %d)", s.Building)
	}
	lag, oldest, queue, dead := s.figures()
	return []string{s.View, generation, version, term.Count(s.Documents), s.Position, lag, oldest, queue, dead,
		term.Count(s.Parked), term.Count(s.Healed), s.Status}
}

func (r reading) well() bool { return r.Status == statusOK }

// lag notes how far behind the log it is; with more, at least so far.
func (r *reading) lag(l projector.Lag, more bool, now time.Time) {
	if r.LagEvents, r.more = l.Events, more; !l.Since.IsZero() {
		r.LagSeconds = max(0, now.Sub(l.Since).Seconds())
	}
}

// figures are the cells that a view and fulfilment have in common.
func (r reading) figures() (lag, oldest, queue, dead string) {
	lag, oldest, queue, dead = term.Count(r.LagEvents), "-", "-", "-"
	if r.more {
		lag += "+"
	}
	if r.LagEvents > 0 || r.more {
		oldest = term.Duration(time.Duration(r.LagSeconds * float64(time.Second)))
	}
	if r.Queue != nil {
		queue = term.Count(int64(r.Queue.Waiting)) + " + " + term.Count(int64(r.Queue.InFlight))
		dead = term.Count(int64(r.Queue.Dead))
	}
	return lag, oldest, queue, dead
}
