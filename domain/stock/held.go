package stock

import (
	"encoding/json"
	"iter"
	"maps"
)

// Held is how many units are set aside, by order. It never changes: with makes another of it, and both share what they have in
// common. So an event costs about the same however many orders are open, and a state can be handed on. What it looks like inside depends on
// nothing but what it holds: reflect.DeepEqual compares. Its JSON is an object.
type Held struct{ root *node }

// The shape of a Held: a trie by the hash of the order's id.
const (
	fanBits  = 4
	maxLeaf  = 16           // orders in a leaf, but for those at maxDepth, whose hashes are the same
	maxDepth = 64 / fanBits // levels of branches
)

// node holds some orders: at most maxLeaf itself, more in the nodes below. It holds one at least.
type node struct {
	orders int
	leaf   map[string]int64
	below  *[1 << fanBits]*node // nil: it is a leaf
}

// HeldOf holds that many units for each order; none for whom there are 0.
func HeldOf(units map[string]int64) Held {
	var h Held
	for id, n := range units {
		h = h.with(id, n)
	}
	return h
}

// Of is how many units are set aside for the order.
func (h Held) Of(orderID string) int64 {
	n := h.root
	for sum := hash(orderID); n != nil; sum >>= fanBits {
		if n.below == nil {
			return n.leaf[orderID]
		}
		n = n.below[slot(sum)]
	}
	return 0
}

// All yields every order for which units are set aside, in no order.
func (h Held) All() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) { h.root.all(yield) }
}

// MarshalJSON writes an object with the units of each order.
func (h Held) MarshalJSON() ([]byte, error) { return json.Marshal(maps.Collect(h.All())) }

// UnmarshalJSON reads what MarshalJSON writes.
func (h *Held) UnmarshalJSON(data []byte) error {
	var units map[string]int64
	if err := json.Unmarshal(data, &units); err != nil {
		return err
	}
	*h = HeldOf(units)
	return nil
}

// with is the same but for one order; none are set aside for it if there are 0.
func (h Held) with(orderID string, units int64) Held {
	return Held{h.root.with(hash(orderID), 0, orderID, units)}
}

func (n *node) with(sum uint64, depth int, orderID string, units int64) *node {
	if n == nil || n.below == nil {
		leaf := map[string]int64{}
		if n != nil {
			leaf = maps.Clone(n.leaf)
		}
		if leaf[orderID] = units; units == 0 {
			delete(leaf, orderID)
		}
		return nodeOf(leaf, depth)
	}
	below := *n.below
	at := &below[slot(sum)]
	was := (*at).size()
	*at = (*at).with(sum>>fanBits, depth+1, orderID, units)
	changed := &node{orders: n.orders + (*at).size() - was, below: &below}
	if changed.orders > maxLeaf {
		return changed
	}
	leaf := make(map[string]int64, changed.orders)
	changed.all(func(id string, units int64) bool {
		leaf[id] = units
		return true
	})
	return nodeOf(leaf, depth)
}

// nodeOf is a node of that depth with those orders, which it may keep; nil for none.
func nodeOf(leaf map[string]int64, depth int) *node {
	switch {
	case len(leaf) == 0:
		return nil
	case len(leaf) <= maxLeaf || depth == maxDepth:
		return &node{orders: len(leaf), leaf: leaf}
	}
	var below [1 << fanBits]*node
	for id, units := range leaf {
		sum := hash(id) >> (depth * fanBits)
		at := &below[slot(sum)]
		*at = (*at).with(sum>>fanBits, depth+1, id, units)
	}
	return &node{orders: len(leaf), below: &below}
}

func (n *node) size() int {
	if n == nil {
		return 0
	}
	return n.orders
}

func (n *node) all(yield func(string, int64) bool) bool {
	if n == nil {
		return true
	}
	for id, units := range n.leaf {
		if !yield(id, units) {
			return false
		}
	}
	if n.below != nil {
		for _, b := range n.below {
			if !b.all(yield) {
				return false
			}
		}
	}
	return true
}

func slot(sum uint64) uint64 { return sum & (1<<fanBits - 1) }

// hash is FNV-1a: the same in every process.
func hash(id string) uint64 {
	sum := uint64(14695981039346656037)
	for i := range len(id) {
		sum = (sum ^ uint64(id[i])) * 1099511628211
	}
	return sum
}
