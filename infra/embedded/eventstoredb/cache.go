package eventstoredb

// generations is a map of bounded memory: two, of which the older is dropped whole when the newer is full. Only the writer uses it.
type generations[K comparable, V any] struct {
	young, old map[K]V
	limit      int
}

func newGenerations[K comparable, V any](limit int) generations[K, V] {
	return generations[K, V]{young: map[K]V{}, limit: limit}
}

func (g *generations[K, V]) get(key K) (V, bool) {
	v, ok := g.young[key]
	if !ok {
		v, ok = g.old[key]
	}
	return v, ok
}

func (g *generations[K, V]) add(key K, v V) {
	if len(g.young) >= g.limit {
		g.young, g.old = make(map[K]V, g.limit), g.young
	}
	g.young[key] = v
}

// recentIDs remembers where the newest events are, by id.
type recentIDs struct{ generations[eventID, place] }

// place is where an event stands.
type place struct{ stream, revision uint64 }

// judge says whether events are a repetition of recent ones, wholly or (a conflict) in part.
func (r *recentIDs) judge(stream uint64, proposals []*proposal) (verdict, uint64) {
	var last uint64
	for i, p := range proposals {
		known, ok := r.get(p.id)
		ok = ok && known.stream == stream
		switch {
		case !ok && i == 0:
			return accepted, 0
		case !ok:
			return conflict, 0
		}
		last = known.revision
	}
	if len(proposals) == 0 {
		return accepted, 0
	}
	return repeated, last
}

// headCache keeps the heads of the streams written to lately.
type headCache struct{ generations[string, *head] }

// get keeps what it finds young.
func (c *headCache) get(name string) *head {
	h, known := c.generations.get(name)
	if known && c.young[name] == nil {
		c.add(name, h)
	}
	return h
}

func (c *headCache) forget(name string) {
	delete(c.young, name)
	delete(c.old, name)
}
