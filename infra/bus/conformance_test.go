package bus_test

import (
	"testing"

	"jangbu/infra/bus/bustest"
	"jangbu/infra/embedded/snssqs"
)

func startEmbedded(t testing.TB, cfg snssqs.Config) *snssqs.Server {
	t.Helper()
	server, err := snssqs.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func TestEmbeddedConforms(t *testing.T) {
	bustest.Run(t, bustest.Endpoint{URL: startEmbedded(t, snssqs.Config{}).URL()})
}
