package eventstoredb

// recentIDs remembers where the newest events are, by id, in bounded memory: two generations, of which the older
// is dropped whole when the newer is full. Only the writer uses it.
type recentIDs struct {
	young, old map[eventID]place
	limit      int
}

// place is where an event stands.
type place struct{ stream, revision uint64 }

func newRecentIDs(limit int) *recentIDs {
	return &recentIDs{limit: limit, young: make(map[eventID]place)}
}

func (r *recentIDs) add(id eventID, stream, revision uint64) {
	if len(r.young) >= r.limit {
		r.young, r.old = make(map[eventID]place, r.limit), r.young
	}
	r.young[id] = place{stream, revision}
}

func (r *recentIDs) find(id eventID, stream uint64) (revision uint64, ok bool) {
	p, ok := r.young[id]
	if !ok {
		p, ok = r.old[id]
	}
	return p.revision, ok && p.stream == stream
}

// judge says whether events are a repetition of recent ones, wholly or (a conflict) in part.
func (r *recentIDs) judge(stream uint64, proposals []*proposal) (verdict, uint64) {
	var last uint64
	for i, p := range proposals {
		revision, ok := r.find(p.id, stream)
		switch {
		case !ok && i == 0:
			return accepted, 0
		case !ok:
			return conflict, 0
		}
		last = revision
	}
	if len(proposals) == 0 {
		return accepted, 0
	}
	return repeated, last
}

// headCache keeps the heads of the streams written to lately, in two generations like recentIDs.
type headCache struct {
	young, old map[string]*head
	limit      int
}

func newHeadCache(limit int) *headCache {
	return &headCache{limit: limit, young: make(map[string]*head)}
}

func (c *headCache) get(name string) *head {
	if h := c.young[name]; h != nil {
		return h
	}
	h := c.old[name]
	if h != nil {
		c.set(h)
	}
	return h
}

func (c *headCache) set(h *head) {
	if len(c.young) >= c.limit {
		c.young, c.old = make(map[string]*head, c.limit), c.young
	}
	c.young[h.name] = h
}

func (c *headCache) forget(name string) {
	delete(c.young, name)
	delete(c.old, name)
}
