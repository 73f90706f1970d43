package projector

import (
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
	next    chunk
	groups  map[string]*group // of next
	wanted  int               // events in them
	bytes   int
}

// add takes an event, and reports whether it is time to cut.
func (k *cutter) add(e event.Recorded) bool {
	k.next.end = e.Position
	k.next.events++
	if source := k.sources[event.Category(e.Stream)]; source != nil {
		decoded, _ := source.Decode(e) // what cannot be decoded stays as it is: each view parks its stream
		k.next.last = event.Recorded{Position: e.Position, Time: e.Time}
		e.Metadata = nil // takes room, and no view sees it
		g := k.groups[e.Stream]
		if g == nil {
			g = &group{stream: e.Stream}
			k.groups[e.Stream] = g
			k.next.groups = append(k.next.groups, g)
		}
		g.arrivals = append(g.arrivals, arrival{Recorded: e, decoded: decoded})
		k.wanted++
		k.bytes += len(e.Data)
	}
	const quiet = 8 // chunks without anything to land
	return k.wanted >= k.events || k.bytes >= chunkBytes || k.next.events >= int64(quiet*k.events)
}

// cut gives the next chunk.
func (k *cutter) cut() chunk {
	c := k.next
	k.next = chunk{end: c.end, last: c.last}
	clear(k.groups)
	k.wanted, k.bytes = 0, 0
	return c
}

// more reports whether something is left when the log has ended.
func (k *cutter) more() bool { return k.next.events > 0 }
