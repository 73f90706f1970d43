package snssqs

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Faults is how a server misbehaves. Each float is a probability from 0 to 1, rolled anew for each message or request;
// the zero value is a server that does its duty. All of them are things AWS may do, only oftener; Drop is what an operator
// or a lost subscription does.
type Faults struct {
	Duplicate float64       // a message enters a queue twice, under one message id
	Reorder   float64       // a message changes places with another that waits in the queue
	Drop      float64       // an accepted message never enters the queue
	DelayMax  time.Duration // a message stays hidden for up to this long before its first delivery

	FailPublish    float64 // Publish, or one entry of PublishBatch, fails
	FailSend       float64 // SendMessage, or one entry of its batch, fails
	FailReceive    float64 // ReceiveMessage fails
	FailDelete     float64 // DeleteMessage, or one entry of its batch, fails
	FailVisibility float64 // ChangeMessageVisibility, or one entry of its batch, fails
	FailRequest    float64 // any request is answered 503 before it is looked at

	// DoneAnyway is the share of the failing publishes, sends, receives, deletes and visibility changes that are carried
	// out before they are reported as failed, as when the answer is lost on its way.
	DoneAnyway float64
}

// SetFaults replaces the faults, from the next message and request on.
func (s *Server) SetFaults(f Faults) {
	if f == (Faults{}) {
		s.dice.faults.Store(nil)
		return
	}
	s.dice.faults.Store(&f)
}

// dice decides which faults happen. Without faults it costs one atomic load.
type dice struct {
	faults atomic.Pointer[Faults]
	mu     sync.Mutex
	rng    *rand.Rand
}

// outcome is what becomes of one attempt.
type outcome struct {
	fail bool // report a failure
	do   bool // carry it out
}

func (d *dice) seed(seed uint64) { d.rng = rand.New(rand.NewPCG(seed, 0x6a616e676275)) }

// attempt rolls for one attempt whose probability of failure pick chooses.
func (d *dice) attempt(pick func(*Faults) float64) outcome {
	f := d.faults.Load()
	if f == nil || !d.hit(pick(f)) {
		return outcome{do: true}
	}
	return outcome{fail: true, do: d.hit(f.DoneAnyway)}
}

func (d *dice) hit(p float64) bool {
	if p <= 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Float64() < p
}

// below returns a number from 0 up to n; 0 when n is not positive.
func (d *dice) below(n int64) int64 {
	if n <= 0 {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Int64N(n)
}

func failPublish(f *Faults) float64    { return f.FailPublish }
func failSend(f *Faults) float64       { return f.FailSend }
func failReceive(f *Faults) float64    { return f.FailReceive }
func failDelete(f *Faults) float64     { return f.FailDelete }
func failVisibility(f *Faults) float64 { return f.FailVisibility }
func failRequest(f *Faults) float64    { return f.FailRequest }
