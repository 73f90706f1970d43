package view

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"regexp"
	"testing"
	"testing/quick"
	"time"

	"jangbu/domain/member"
	"jangbu/domain/order"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/query/row"
	"jangbu/test/race"
)

// shapes is a value of every type that the views read or write as JSON.
var shapes = []any{
	order.Placed{}, order.Shipped{}, order.Returned{}, order.Cancelled{}, member.Registered{}, member.AddressSet{}, member.State{},
	product.Created{}, product.SaleSet{}, product.State{}, stock.Reserved{}, stock.Counted{},
	orderState{}, orderMember{}, orderDocument{}, listed{}, basket{}, productDocument{}, onShelf{}, lowProduct{}, spend{}, memberDocument{},
	emailOwner{}, sale{}, map[string][]Tallied{}, tallyItem{}, Ranked{}, "", map[string]int64{}, struct{}{},
}

// fill makes a value up, as quick.Value does for types without times and embedded structs.
func fill(v reflect.Value, random *rand.Rand) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(random.Int63n(1e10), random.Int63n(1e9)).UTC()))
	case v.Type() == reflect.TypeFor[json.RawMessage]():
		v.Set(reflect.ValueOf(json.RawMessage(`{"a":[1,"b"]}`)))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), random)
		}
	case v.Kind() == reflect.Pointer && random.Intn(2) == 0:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), random)
	case v.Kind() == reflect.Pointer:
	case v.Kind() == reflect.Slice && random.Intn(4) > 0:
		v.Set(reflect.MakeSlice(v.Type(), random.Intn(4), 4))
		for i := range v.Len() {
			fill(v.Index(i), random)
		}
	case v.Kind() == reflect.Slice:
	default:
		made, _ := quick.Value(v.Type(), random)
		v.Set(made)
	}
}

// TestJSON: what views write is what encoding/json writes, byte for byte, and they read what it reads, also where it is damaged.
func TestJSON(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for _, shape := range shapes {
		for n := range race.Fewer(50) {
			kind := reflect.TypeOf(shape)
			value := reflect.New(kind).Elem()
			if n > 0 { // else it is zero
				fill(value, random)
			}
			if s, ok := value.Interface().(orderState); ok && random.Intn(2) == 0 {
				value = reflect.ValueOf(orderPart{s, random.Int63()})
				kind = value.Type()
			}
			want, err := json.Marshal(value.Interface())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := row.Marshal(value.Interface()); err != nil || string(got) != string(want) {
				t.Fatalf("%s is written as\n%s (%v), and by encoding/json as\n%s", kind, got, err, want)
			}
			sameReading(t, kind, want)
			short := digits.ReplaceAll(want, []byte("${1}"))
			sameReading(t, kind, short)
			for range 5 {
				sameReading(t, kind, damaged(random, short))
			}
		}
	}
}

// digits are those of large numbers, which quick.Value likes and events do not have.
var digits = regexp.MustCompile(`(\d{1,12})\d*`)

func sameReading(t *testing.T, kind reflect.Type, data []byte) {
	t.Helper()
	got, want := reflect.New(kind), reflect.New(kind)
	wantErr := json.Unmarshal(data, want.Interface())
	gotErr := row.Unmarshal(append([]byte(nil), data...), got.Interface())
	if (gotErr == nil) != (wantErr == nil) || wantErr == nil && !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Errorf("%s read from %s is\n%+v (%v), and by encoding/json\n%+v (%v)", kind, data, got.Elem(), gotErr, want.Elem(), wantErr)
	}
}

// damaged changes, drops or doubles some bytes.
func damaged(random *rand.Rand, data []byte) []byte {
	const bytes = "{}[]\",:\\ue0159-.tfnaA \n\x00\xff\xc3"
	b := append([]byte(nil), data...)
	for range 1 + random.Intn(2) {
		at := random.Intn(len(b))
		switch random.Intn(3) {
		case 0:
			b[at] = bytes[random.Intn(len(bytes))]
		case 1:
			b = append(b[:at], b[at+1:]...)
		default:
			b = append(b[:at], append([]byte{bytes[random.Intn(len(bytes))]}, b[at:]...)...)
		}
		if len(b) == 0 {
			return b
		}
	}
	return b
}
