package projector

// recent remembers the values used last, in two generations, of which the young ones weigh about limit at most: each 1, and what their user adds to
// weight until the next turn. It is for one goroutine.
type recent[V any] struct {
	young, old map[string]V
	limit      int
	weight     int
	turns      int
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
		r.add(keep(v), v)
	}
	return v, ok
}

// add makes a value the youngest; name must be a string of its own, not a part of something large.
func (r *recent[V]) add(name string, v V) {
	if _, ok := r.young[name]; !ok {
		r.weight++
	}
	r.young[name] = v
}

func (r *recent[V]) remove(name string) {
	if _, ok := r.young[name]; ok {
		r.weight--
	}
	delete(r.young, name)
	delete(r.old, name)
}

// full reports whether it is time to turn.
func (r *recent[V]) full() bool { return r.weight >= r.limit }

// turn forgets what has not been added since the last turn.
func (r *recent[V]) turn() {
	clear(r.old)
	r.young, r.old = r.old, r.young
	r.weight = 0
	r.turns++
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
