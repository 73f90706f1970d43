package projector

// recent remembers between limit and twice as many values, those used last, in two generations. It is for one goroutine.
type recent[V any] struct {
	young, old map[string]V
	limit      int
}

func newRecent[V any](limit int) *recent[V] {
	return &recent[V]{young: map[string]V{}, old: map[string]V{}, limit: limit}
}

func (r *recent[V]) get(name string) (V, bool) {
	if v, ok := r.young[name]; ok {
		return v, true
	}
	v, ok := r.old[name]
	return v, ok
}

// use is get, and makes the value one of the youngest; keep gives the string that it was added under.
func (r *recent[V]) use(name string, keep func(V) string) (V, bool) {
	if v, ok := r.young[name]; ok {
		return v, true
	}
	v, ok := r.old[name]
	if ok {
		r.young[keep(v)] = v
	}
	return v, ok
}

// add makes a value the youngest; name must be a string of its own, not a part of something large.
func (r *recent[V]) add(name string, v V) { r.young[name] = v }

func (r *recent[V]) remove(name string) {
	delete(r.young, name)
	delete(r.old, name)
}

// full reports whether it is time to turn.
func (r *recent[V]) full() bool { return len(r.young) >= r.limit }

// turn forgets what has not been added since the last turn.
func (r *recent[V]) turn() {
	clear(r.old)
	r.young, r.old = r.old, r.young
}

// leaving is what the next turn forgets.
func (r *recent[V]) leaving() (leaving []V) {
	for name, v := range r.old {
		if _, stays := r.young[name]; !stays {
			leaving = append(leaving, v)
		}
	}
	return leaving
}

// all is all that is remembered.
func (r *recent[V]) all() []V {
	all := r.leaving()
	for _, v := range r.young {
		all = append(all, v)
	}
	return all
}
