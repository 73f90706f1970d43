package projector

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"jangbu/domain/event"
	"jangbu/query/view"
)

// decodings are the domain events that were last made of events' data, shared by the consumers of all views: one decoding serves
// every view that reads the category. They are found by where the data is in memory, which a bus gives out once for all queues;
// data is never changed, and what is kept here stays where it is. The nil decodings keep nothing.
type decodings struct{ last *lru.Cache[*byte, any] }

const (
	decodingsKept = 4096
	decodingsMost = 4 << 10 // bytes of data of an event that is kept; larger ones are not given out once for all queues
)

func newDecodings() *decodings {
	last, err := lru.New[*byte, any](decodingsKept)
	if err != nil {
		panic(err) // the size is no good
	}
	return &decodings{last}
}

func (d *decodings) decode(source *view.Source, e event.Recorded) (any, error) {
	if d == nil || len(e.Data) == 0 || len(e.Data) > decodingsMost {
		return source.Decode(e)
	}
	if decoded, ok := d.last.Get(&e.Data[0]); ok {
		return decoded, nil
	}
	decoded, err := source.Decode(e)
	if err == nil {
		d.last.Add(&e.Data[0], decoded)
	}
	return decoded, err
}
