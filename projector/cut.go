package projector

import (
	"slices"

	"jangbu/domain/event"
	"jangbu/query/view"
)

// group is events of one stream, in their order.
type group struct {
	stream   string
	arrivals []arrival
}

// sources gives, by category, what decodes its events; all views decode the same.
func sources(builds []*build) map[string]*view.Source {
	all := map[string]*view.Source{}
	for _, b := range builds {
		for i := range b.view.Sources {
			s := &b.view.Sources[i]
			all[s.Category] = s
		}
	}
	return all
}

// cutter cuts a log into chunks.
type cutter struct {
	sources map[string]*view.Source
	events  int // of a chunk

	next     chunk // without its groups
	arrivals []arrival
	of       []int // which group each belongs to
	at       map[string]int
	groups   []group // without their arrivals
	bytes    int
}

func newCutter(sources map[string]*view.Source, events int) *cutter {
	return &cutter{sources: sources, events: events, at: map[string]int{}}
}

// add takes an event, and reports whether it is time to cut.
func (k *cutter) add(e event.Recorded) bool {
	k.next.end = e.Position
	k.next.events++
	if source := k.sources[event.Category(e.Stream)]; source != nil {
		decoded, _ := source.Decode(e) // what cannot be decoded stays as it is: each view parks its stream
		k.next.last = event.Recorded{Position: e.Position, Time: e.Time}
		e.Metadata = nil // takes room, and no view sees it
		at, ok := k.at[e.Stream]
		if !ok {
			at = len(k.groups)
			k.at[e.Stream] = at
			k.groups = append(k.groups, group{stream: e.Stream})
		}
		k.arrivals, k.of = append(k.arrivals, arrival{Recorded: e, decoded: decoded}), append(k.of, at)
		k.bytes += len(e.Data)
	}
	const quiet = 8 // chunks without anything to land
	return len(k.arrivals) >= k.events || k.bytes >= chunkBytes || k.next.events >= int64(quiet*k.events)
}

// cut gives the next chunk.
func (k *cutter) cut() chunk {
	c := k.next
	c.groups = slices.Clone(k.groups)
	sizes := make([]int, len(k.groups))
	for _, at := range k.of {
		sizes[at]++
	}
	all := make([]arrival, len(k.arrivals))
	for i, size := range sizes {
		c.groups[i].arrivals, all = all[:0:size], all[size:]
	}
	for i, at := range k.of {
		c.groups[at].arrivals = append(c.groups[at].arrivals, k.arrivals[i])
	}
	k.next = chunk{end: c.end, last: c.last}
	clear(k.arrivals)
	clear(k.at)
	k.arrivals, k.of, k.groups, k.bytes = k.arrivals[:0], k.of[:0], k.groups[:0], 0
	return c
}

// more reports whether something is left when the log has ended.
func (k *cutter) more() bool { return k.next.events > 0 }
