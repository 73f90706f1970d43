package snssqs

import "testing"

func text(s string) attribute     { return attribute{DataType: "String", StringValue: &s} }
func number(s string) attribute   { return attribute{DataType: "Number", StringValue: &s} }
func array(s string) attribute    { return attribute{DataType: "String.Array", StringValue: &s} }
func binaryOf(s string) attribute { return attribute{DataType: "Binary", BinaryValue: []byte(s)} }

func TestFilterPolicies(t *testing.T) {
	order := attributes{"category": text("order"), "price": number("100.50"), "tags": array(`["new","sale",7,true,null]`), "blob": binaryOf("order")}
	cases := []struct {
		policy string
		want   bool
	}{
		{`{}`, true},
		{`{"category":["order"]}`, true},
		{`{"category":["member","order"]}`, true},
		{`{"category":["member"]}`, false},
		{`{"category":["ORDER"]}`, false},
		{`{"category":["order"],"colour":["red"]}`, false},
		{`{"category":["order"],"price":[100.5]}`, true},
		{`{"category":[{"prefix":"ord"}]}`, true},
		{`{"category":[{"prefix":"der"}]}`, false},
		{`{"category":[{"suffix":"der"}]}`, true},
		{`{"category":[{"equals-ignore-case":"OrDeR"}]}`, true},
		{`{"category":[{"anything-but":"order"}]}`, false},
		{`{"category":[{"anything-but":["member","product"]}]}`, true},
		{`{"category":[{"anything-but":["member","order"]}]}`, false},
		{`{"category":[{"anything-but":{"prefix":"ord"}}]}`, false},
		{`{"category":[{"anything-but":{"prefix":"mem"}}]}`, true},
		{`{"colour":[{"anything-but":"red"}]}`, false}, // it must be there
		{`{"category":[{"exists":true}]}`, true},
		{`{"category":[{"exists":false}]}`, false},
		{`{"colour":[{"exists":true}]}`, false},
		{`{"colour":[{"exists":false}]}`, true},
		{`{"colour":["red",{"exists":false}]}`, true},
		{`{"price":[{"numeric":["=",100.5]}]}`, true},
		{`{"price":[{"numeric":[">",100,"<=",100.5]}]}`, true},
		{`{"price":[{"numeric":[">=",0,"<",100.5]}]}`, false},
		{`{"price":["100.50"]}`, false}, // a number is not a string
		{`{"price":[{"anything-but":[100.5]}]}`, false},
		{`{"price":[{"anything-but":[7]}]}`, true},
		{`{"category":[{"numeric":["=",1]}]}`, false},
		{`{"tags":["sale"]}`, true},
		{`{"tags":["old"]}`, false},
		{`{"tags":[7]}`, true},
		{`{"tags":[true]}`, true},
		{`{"tags":[null]}`, true},
		{`{"blob":["order"]}`, false},
		{`{"blob":[{"exists":true}]}`, true},
		{`{"$or":[{"category":["member"]},{"price":[{"numeric":[">",100]}]}]}`, true},
		{`{"$or":[{"category":["member"]},{"price":[{"numeric":["<",100]}]}]}`, false},
		{`{"$or":[{"category":["order"]}],"price":[1]}`, false},
	}
	for _, c := range cases {
		t.Run(c.policy, func(t *testing.T) {
			f, err := parseFilter(c.policy)
			if err != nil {
				t.Fatal(err)
			}
			if have := f.matches(order); have != c.want {
				t.Errorf("matches: %v, want %v", have, c.want)
			}
		})
	}
}

func TestFilterPolicyRefusals(t *testing.T) {
	for _, policy := range []string{
		`not JSON`, `[]`, `{"a":"b"}`, `{"a":[]}`, `{"a":[{"prefix":1}]}`, `{"a":[{"exists":"yes"}]}`, `{"a":[{"colour":"red"}]}`,
		`{"a":[{"numeric":["="]}]}`, `{"a":[{"numeric":["~",1]}]}`, `{"a":[{"numeric":["=","1"]}]}`, `{"a":[["b"]]}`,
		`{"a":[{"prefix":"x","suffix":"y"}]}`, `{"a":[{"anything-but":{"numeric":["=",1]}}]}`, `{"a":[{"anything-but":[["x"]]}]}`,
		`{"a":["1"],"b":["1"],"c":["1"],"d":["1"],"e":["1"],"f":["1"]}`,
	} {
		if _, err := parseFilter(policy); err == nil {
			t.Errorf("%s was accepted", policy)
		}
	}
}
