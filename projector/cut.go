package projector

import (
	"math"

	"jangbu/domain/event"
	"jangbu/query/view"
)

// category is what a pass knows of a category of streams that feeds some of its views.
type category struct {
	source *view.Source // which decodes; they all decode the same
	prompt bool         // some of the views refer to its streams
}

func categories(builds []*build) map[string]category {
	all := map[string]category{}
	for _, b := range builds {
		for i := range b.view.Sources {
			s := &b.view.Sources[i]
			all[s.Category] = category{source: s, prompt: all[s.Category].prompt || s.Shares()}
		}
	}
	return all
}

// cutter cuts a log into chunks.
type cutter struct {
	categories map[string]category
	window     *window
	held       bool // whether the window is used
	events     int  // of a chunk
	next       chunk
}

// add takes an event, and reports whether it is time to cut.
func (k *cutter) add(e event.Recorded) bool {
	k.next.end = e.Position
	k.next.events++
	if c, wanted := k.categories[event.Category(e.Stream)]; wanted {
		decoded, _ := c.source.Decode(e) // what cannot be decoded stays as it is: each view parks its stream
		k.next.last = event.Recorded{Position: e.Position, Time: e.Time}
		e.Metadata = nil // takes room, and no view sees it
		k.window.add(arrival{Recorded: e, decoded: decoded}, c.prompt)
	}
	if k.held && k.window.full() {
		return true
	}
	const quiet = 8 // chunks without anything to land
	return k.next.events >= int64(quiet*k.events) ||
		!k.held && (k.next.events >= int64(k.events) || k.window.bytes >= chunkBytes)
}

// cut gives the next chunk.
func (k *cutter) cut() chunk {
	c := k.next
	switch {
	case !k.held:
		c.groups = k.window.release(math.MaxInt, math.MaxInt)
	case k.window.full() || k.next.events == 0:
		c.groups = k.window.release(k.events, chunkBytes)
	}
	k.next = chunk{end: c.end, last: c.last}
	return c
}

// more reports whether something is left when the log has ended.
func (k *cutter) more() bool { return k.next.events > 0 || k.window.events > 0 }
