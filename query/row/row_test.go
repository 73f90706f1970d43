package row_test

import (
	"testing"

	"jangbu/query/row"
)

// TestDecode: a part is what it was made of, or what its JSON reads as, the same whether it was stored meanwhile or not.
func TestDecode(t *testing.T) {
	type slip struct {
		Name  string `json:"name"`
		Units int    `json:"units"`
	}
	type named struct {
		Name string `json:"name"`
	}
	whole := slip{"Mina", 2}
	for made, part := range map[string]row.Part{"of the type": row.PartOf(whole), "of a pointer to it": row.PartOf(&whole), "of a map": row.PartOf(map[string]any{"name": "Mina", "units": 2})} {
		for kept, part := range map[string]row.Part{"in memory": part, "marshalled": part.Marshalled(), "stored": row.StoredPart(part.Bytes())} {
			if got, err := row.Decode[slip](part); err != nil || got != whole {
				t.Errorf("made %s, %s: %+v, %v", made, kept, got, err)
			}
			if got, err := row.Decode[named](part); err != nil || got.Name != whole.Name {
				t.Errorf("made %s, %s, some of its fields: %+v, %v", made, kept, got, err)
			}
		}
	}
	if got, err := row.Decode[slip](row.Part{}); err == nil {
		t.Errorf("no part is decoded as %+v", got)
	}
}
