package event

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// Codec maps event names to Go types and back, for one aggregate. It is immutable and safe for concurrent use.
// An old version of an event stays readable for ever through Upcast.
type Codec struct {
	unmarshal Unmarshal
	decode    map[string]func(Unmarshal, []byte) (any, error)
	name      map[reflect.Type]string
}

// Unmarshal reads JSON as encoding/json does. What it makes may share memory with data, which nobody changes.
type Unmarshal func(data []byte, into any) error

// Kind is one name a Codec knows: made by Of or Upcast.
type Kind struct {
	name   string
	typ    reflect.Type // nil for an old version, which is only read
	decode func(Unmarshal, []byte) (any, error)
}

// Of says that events of type T are written and read under name.
func Of[T any](name string) Kind {
	return Kind{name: name, typ: reflect.TypeFor[T](), decode: func(unmarshal Unmarshal, data []byte) (any, error) {
		var e T
		err := unmarshal(data, &e)
		return e, err
	}}
}

// Upcast says that events written under name in the shape Old are read as New.
func Upcast[Old, New any](name string, up func(Old) New) Kind {
	return Kind{name: name, decode: func(unmarshal Unmarshal, data []byte) (any, error) {
		var old Old
		if err := unmarshal(data, &old); err != nil {
			return nil, err
		}
		return up(old), nil
	}}
}

// NewCodec builds a codec. Two kinds of one name or one type are a programming error and panic.
func NewCodec(kinds ...Kind) *Codec {
	c := &Codec{unmarshal: json.Unmarshal, decode: map[string]func(Unmarshal, []byte) (any, error){}, name: map[reflect.Type]string{}}
	for _, k := range kinds {
		if c.decode[k.name] != nil {
			panic("event: two kinds named " + k.name)
		}
		c.decode[k.name] = k.decode
		if k.typ != nil {
			if c.name[k.typ] != "" {
				panic("event: two names for " + k.typ.String())
			}
			c.name[k.typ] = k.name
		}
	}
	return c
}

// With returns a codec that reads by another Unmarshal, for those who read millions of events.
func (c *Codec) With(unmarshal Unmarshal) *Codec {
	other := *c
	other.unmarshal = unmarshal
	return &other
}

// Encode returns the name and the JSON of an event.
func (c *Codec) Encode(e any) (name string, data []byte, err error) {
	name, ok := c.name[reflect.TypeOf(e)]
	if !ok {
		return "", nil, fmt.Errorf("encode %T: %w", e, ErrUnknownType)
	}
	data, err = json.Marshal(e)
	return name, data, err
}

// Decode returns the event as its newest Go type. A name the codec does not know is ErrUnknownType.
func (c *Codec) Decode(name string, data []byte) (any, error) {
	decode, ok := c.decode[name]
	if !ok {
		return nil, fmt.Errorf("decode %s: %w", name, ErrUnknownType)
	}
	e, err := decode(c.unmarshal, data)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", name, err)
	}
	return e, nil
}

// Names lists every name the codec reads, sorted.
func (c *Codec) Names() []string {
	names := make([]string, 0, len(c.decode))
	for name := range c.decode {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
