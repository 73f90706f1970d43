package bus

import "testing"

func TestSameValue(t *testing.T) {
	cases := []struct {
		have, want string
		same       bool
	}{
		{"30", "30", true},
		{"30", "31", false},
		{"", "0", false},
		{`{"a":[1, "x"],"b":{"c":true}}`, `{ "b" : {"c":true}, "a":[1,"x"] }`, true},
		{`{"a":["x","y"]}`, `{"a":["y","x"]}`, false},
		{`{"a":1}`, `not JSON`, false},
	}
	for _, c := range cases {
		if have := sameValue(c.have, c.want); have != c.same {
			t.Errorf("%s and %s: same is %v", c.have, c.want, have)
		}
	}
}
