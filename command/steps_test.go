package command_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"jangbu/command"
	"jangbu/domain/event"
	"jangbu/domain/stock"
)

// TestStepsAreKnownAgain pins the command id and the request hash of each step that is claimed. A release that makes other ones of the
// same step takes it twice, or is refused it for ever: a field that stock's commands gain or lose changes the hash.
func TestStepsAreKnownAgain(t *testing.T) {
	log := &fakeLog{}
	shop := command.New(log, command.Config{})
	restocked := event.Proposed{ID: uuid.New(), Type: "stock.restocked.v1", Data: []byte(`{"quantity":10}`)}
	if _, err := log.Append(t.Context(), stock.Stream("P"), event.NoStream, []event.Proposed{restocked}); err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Reserve(t.Context(), event.Recorded{}, stock.Reserve{ProductID: "P", OrderID: "o", Quantity: 3}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name    string
		command stock.Command
	}{
		{"ship/o/1", stock.Ship{ProductID: "P", OrderID: "o", Parcel: 1, Quantity: 2}},
		{"return/o/1", stock.Return{ProductID: "P", OrderID: "o", Return: 1, Quantity: 1}},
		{"release/o", stock.Release{ProductID: "P", OrderID: "o"}},
	} {
		if err := shop.MoveStock(t.Context(), event.Recorded{}, "P", step.name, step.command); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"stock.reserved.v1 5a9a52d6-81b7-5834-bfe4-2632ad3f810c 6dc2a629043283c50db99193202e92f260fa30f0078b93bf917186b8f7edb6a6",
		"stock.shipped.v1 e718eb9a-7189-525a-b68b-8ff3dd03f7dc 9222015b91c916be7ca805d54973985e8333454dc0e007af401581ad19fb8a47",
		"stock.returned.v1 1e69b36e-2777-5681-b5d9-6d68efa6271b 3a82e811169d2b996e75aaaddcca4b5dfad167961fa9b7bca2878683e6bfb49c",
		"stock.released.v1 3f3a5d34-bd48-5ba1-ba11-6bcef56714c1 640c2a2c4cec954d338f59b451d8d8234585d333e194e33294ef95ea1ea03a1f",
	}
	var got []string
	for recorded, err := range log.ReadStream(t.Context(), stock.Stream("P"), 1) {
		if err != nil {
			t.Fatal(err)
		}
		meta := recorded.Meta()
		got = append(got, recorded.Type+" "+meta.CommandID+" "+meta.RequestHash)
	}
	if !slices.Equal(got, want) {
		t.Errorf("steps taken before are not known again:\n%s", strings.Join(got, "\n"))
	}
}
