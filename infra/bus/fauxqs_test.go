package bus_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"jangbu/infra/bus/bustest"
	"jangbu/test/servers"
)

// startFauxqsScript prints the address it serves and ends with its standard input, so that it cannot outlive the test.
const startFauxqsScript = `
import { startFauxqs } from "fauxqs";
const server = await startFauxqs({ port: 0, logger: false });
console.log("http://127.0.0.1:" + server.port);
process.stdin.resume();
process.stdin.on("close", () => process.exit(0));
`

// fauxqsDiffers lists the cases that fauxqs does not share.
func fauxqsDiffers() map[string]string {
	return map[string]string{}
}

// TestFauxqsConforms runs the suite against an emulator written by others. JANGBU_FAUXQS names a folder where
// `npm i node@22 fauxqs@2.4.1` has been run.
func TestFauxqsConforms(t *testing.T) {
	folder := os.Getenv("JANGBU_FAUXQS")
	if folder == "" {
		servers.Missing(t, "fauxqs (JANGBU_FAUXQS names no folder that has it)")
	}
	bustest.Run(t, bustest.Endpoint{URL: startFauxqs(t, folder), Differs: fauxqsDiffers()})
}

func startFauxqs(t *testing.T, folder string) string {
	t.Helper()
	node, err := filepath.Abs(filepath.Join(folder, "node_modules", ".bin", "node"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "--input-type=module", "--eval", startFauxqsScript)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1")
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // which says how it was killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("fauxqs said %q: %v", line, err)
	}
	return strings.TrimSpace(line)
}
