package event_test

import (
	"errors"
	"slices"
	"testing"

	"jangbu/domain/event"
)

func TestPosition(t *testing.T) {
	ordered := []event.Position{{}, {Commit: 1, Prepare: 1}, {Commit: 2, Prepare: 1}, {Commit: 2, Prepare: 2}, {Commit: 1 << 63, Prepare: 0}}
	for i, p := range ordered {
		for k, q := range ordered {
			want := 0
			switch {
			case i < k:
				want = -1
			case i > k:
				want = 1
			}
			if got := p.Compare(q); got != want {
				t.Errorf("%s compared with %s is %d, want %d", p, q, got, want)
			}
		}
		if back, err := event.ParsePosition(p.String()); err != nil || back != p {
			t.Errorf("%s reads back as %s (%v)", p, back, err)
		}
	}
	if p, err := event.ParsePosition(""); err != nil || p != (event.Position{}) {
		t.Errorf("nothing reads as %s (%v), want the zero position", p, err)
	}
	for _, bad := range []string{"1", "1/", "/1", "a/b", "-1/2"} {
		if _, err := event.ParsePosition(bad); err == nil {
			t.Errorf("%q is taken for a position", bad)
		}
	}
}

func TestStreamNames(t *testing.T) {
	for _, c := range []struct{ stream, category, id string }{
		{"order-1", "order", "1"}, {"order-a-b", "order", "a-b"}, {"order-", "order", ""}, {"order", "order", ""}, {"", "", ""},
	} {
		if category, id := event.Category(c.stream), event.StreamID(c.stream); category != c.category || id != c.id {
			t.Errorf("%q is %q and %q, want %q and %q", c.stream, category, id, c.category, c.id)
		}
	}
	if got := event.StreamName("order", "a-b"); got != "order-a-b" {
		t.Errorf("stream name is %q", got)
	}
}

func TestMeta(t *testing.T) {
	e := event.Recorded{Metadata: []byte(`{"command_id":"c","$correlationId":"x","other":1}`)}
	if m := e.Meta(); m.CommandID != "c" || m.CorrelationID != "x" {
		t.Errorf("metadata is %+v", m)
	}
	for _, unreadable := range []string{"", "{", `"text"`, `{"command_id":1}`} {
		if m := (event.Recorded{Metadata: []byte(unreadable)}).Meta(); m != (event.Metadata{}) {
			t.Errorf("metadata %q gives %+v, want none", unreadable, m)
		}
	}
}

type named struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

type namedOld struct {
	Name string `json:"name"`
}

type left struct{}

func codec() *event.Codec {
	return event.NewCodec(
		event.Of[named]("named.v2"),
		event.Upcast("named.v1", func(o namedOld) named { return named{First: o.Name} }),
		event.Of[left]("left.v1"),
	)
}

func TestCodec(t *testing.T) {
	c := codec()
	name, data, err := c.Encode(named{First: "Ada", Last: "L"})
	if err != nil || name != "named.v2" || string(data) != `{"first":"Ada","last":"L"}` {
		t.Fatalf("encoded as %s %s (%v)", name, data, err)
	}
	for _, e := range []struct {
		name, data string
		want       any
	}{
		{"named.v2", `{"first":"Ada","last":"L","from":"a later version"}`, named{First: "Ada", Last: "L"}},
		{"named.v1", `{"name":"Ada"}`, named{First: "Ada"}},
		{"left.v1", `{}`, left{}},
	} {
		if got, err := c.Decode(e.name, []byte(e.data)); err != nil || got != e.want {
			t.Errorf("%s %s decodes to %#v (%v), want %#v", e.name, e.data, got, err, e.want)
		}
	}
	if got, want := c.Names(), []string{"left.v1", "named.v1", "named.v2"}; !slices.Equal(got, want) {
		t.Errorf("names are %v, want %v", got, want)
	}
	if _, _, err := c.Encode(namedOld{}); !errors.Is(err, event.ErrUnknownType) {
		t.Errorf("an old shape is written: %v", err)
	}
	if _, err := c.Decode("named.v3", []byte(`{}`)); !errors.Is(err, event.ErrUnknownType) {
		t.Errorf("an unknown name is read: %v", err)
	}
	for _, broken := range []string{"named.v1", "named.v2"} {
		if _, err := c.Decode(broken, []byte(`{`)); err == nil || errors.Is(err, event.ErrUnknownType) {
			t.Errorf("broken JSON under %s: %v", broken, err)
		}
	}
}

func TestCodecRefusesTwins(t *testing.T) {
	for name, kinds := range map[string][]event.Kind{
		"name": {event.Of[named]("a"), event.Of[left]("a")},
		"type": {event.Of[named]("a"), event.Of[named]("b")},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("two kinds of one %s are taken", name)
				}
			}()
			event.NewCodec(kinds...)
		}()
	}
}
