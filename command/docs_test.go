package command_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"jangbu/command/commandtest"
)

// TestEveryProblemIsDocumentedAndProduced: docs/problems.md lists the codes that these tests have the command API
// produce, no more and no fewer.
func TestEveryProblemIsDocumentedAndProduced(t *testing.T) {
	text, err := os.ReadFile("../docs/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	produced := append(commandtest.Codes(),
		"concurrent-change", "event-too-large", "id-retired", "internal", "unavailable", // by a store that misbehaves: faults_test.go
		"not-ready", // infra/web
	)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| \\d{3} \\| `([a-z-]+)` \\| (both|command) \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
	}
	for _, code := range produced {
		if !slices.Contains(documented, code) {
			t.Errorf("%s is produced and not documented", code)
		}
	}
	for _, code := range documented {
		if !slices.Contains(produced, code) {
			t.Errorf("%s is documented and not produced", code)
		}
	}
}
