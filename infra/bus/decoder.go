package bus

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"jangbu/domain/event"
)

// decoder reads each message once, however many queues bring it: every view's queue brings the same bytes, and mostly at the
// same time. What it has read is shared, as all events are.
type decoder struct {
	seen *lru.Cache[string, decodedMessage] // by body
}

type decodedMessage struct {
	event  event.Recorded
	hollow bool
}

const (
	decoderKeeps = 4096    // messages
	decoderMost  = 4 << 10 // bytes of a message that is kept
)

func newDecoder() *decoder {
	seen, err := lru.New[string, decodedMessage](decoderKeeps)
	if err != nil {
		panic(err) // the size is no good
	}
	return &decoder{seen}
}

func (d *decoder) decode(body string) (event.Recorded, bool, error) {
	if known, ok := d.seen.Get(body); ok {
		return known.event, known.hollow, nil
	}
	e, hollow, err := decode(body)
	if err == nil && len(body) <= decoderMost {
		d.seen.Add(body, decodedMessage{e, hollow})
	}
	return e, hollow, err
}
