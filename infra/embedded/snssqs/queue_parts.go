package snssqs

import (
	"encoding/base64"
	"encoding/binary"
	"time"
)

type state uint8

const (
	ready state = iota
	delayed
	inFlight
	gone
)

// delivery is a message wherever it is.
type delivery struct {
	*content
	id       string
	sent     time.Time
	first    time.Time // when it was first received
	receives int
	deadFrom string // ARN of the queue it was moved from
}

// message is one message in one queue.
type message struct {
	delivery
	seq       uint64 // its name inside the queue; a duplicate has another
	state     state
	due       time.Time // while timed
	heapIndex int       // while timed
}

// readyList is a first-in-first-out list whose members may be struck out in the middle.
type readyList struct {
	items []*message
	head  int
	live  int // items not gone
}

func (l *readyList) push(m *message) {
	m.state = ready
	if l.head > 64 && l.head > len(l.items)/2 {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
	l.items = append(l.items, m)
	l.live++
}

// pop returns the oldest live message, or nil.
func (l *readyList) pop() *message {
	for l.head < len(l.items) {
		m := l.items[l.head]
		l.items[l.head] = nil
		l.head++
		if m.state != gone {
			l.live--
			return m
		}
	}
	l.items, l.head = l.items[:0], 0
	return nil
}

// swapLast exchanges the newest message with the one k places before it.
func (l *readyList) swapLast(k int64) {
	last := len(l.items) - 1
	other := max(last-int(k), l.head)
	l.items[last], l.items[other] = l.items[other], l.items[last]
}

// dropWhile removes the oldest messages as long as drop says so.
func (l *readyList) dropWhile(drop func(*message) bool) {
	for l.head < len(l.items) {
		m := l.items[l.head]
		if m.state != gone && !drop(m) {
			return
		}
		if m.state != gone {
			l.live--
		}
		l.items[l.head] = nil
		l.head++
	}
}

// timedHeap orders messages by when they become due (container/heap).
type timedHeap []*message

func (h timedHeap) Len() int           { return len(h) }
func (h timedHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h timedHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *timedHeap) Push(x any) {
	m := x.(*message)
	m.heapIndex = len(*h)
	*h = append(*h, m)
}

func (h *timedHeap) Pop() any {
	old := *h
	last := len(old) - 1
	m := old[last]
	old[last] = nil
	*h = old[:last]
	return m
}

const receiptBytes = 4 + 8 + 4

// makeReceipt names one receiving of one message: the queue's tag, the message, and which time it was.
func makeReceipt(tag uint32, seq uint64, receives int) string {
	var raw [receiptBytes]byte
	binary.BigEndian.PutUint32(raw[:4], tag)
	binary.BigEndian.PutUint64(raw[4:12], seq)
	binary.BigEndian.PutUint32(raw[12:], uint32(receives))
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

func parseReceipt(s string) (tag uint32, seq uint64, receives int, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != receiptBytes {
		return 0, 0, 0, false
	}
	return binary.BigEndian.Uint32(raw[:4]), binary.BigEndian.Uint64(raw[4:12]), int(binary.BigEndian.Uint32(raw[12:])), true
}
