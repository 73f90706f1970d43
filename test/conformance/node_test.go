package conformance

import (
	"os"
	"os/exec"
	"testing"

	"jangbu/infra/embedded/eventstoredb"
	"jangbu/test/servers"
)

// TestNodeClients walks through the streams API with EventStoreDB's and KurrentDB's clients for Node.js.
func TestNodeClients(t *testing.T) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			servers.Missing(t, tool)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	fetch(t, dir, nil, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund")
	for name, scheme := range map[string]string{
		"@eventstore/db-client": "esdb+discover", "@kurrent/kurrentdb-client": "kurrentdb",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := eventstoredb.Start(eventstoredb.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			run := exec.Command("node", "client.js", name, scheme+"://"+s.Addr()+"?tls=false")
			run.Dir = dir
			if out, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
