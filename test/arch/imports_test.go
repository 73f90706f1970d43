// Package arch holds the rules of the layout that the compiler does not know.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pkg is a package as go list tells it.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	watchSources(t)
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "jangbu/...")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

const root = "../.."

// watchSources opens every source file, so that a cached result of this test ends when one changes.
func watchSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.ReadFile(path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// within reports whether a package is one of those, or below one.
func within(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return path == r || strings.HasPrefix(path, r+"/") })
}

func ours(path string) bool { return within(path, "jangbu") }

func std(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !ours(path) && !strings.Contains(first, ".")
}

// adapter is the folder of infra that a package belongs to.
func adapter(path string) string {
	parts := strings.SplitN(path, "/", 4)
	return strings.Join(parts[:min(3, len(parts))], "/")
}

// rules says what each part may import of ours. The first that matches a package counts; a package without a rule is a
// mistake.
var rules = []struct {
	part    string
	of      []string
	allowed func(importer, imported string) bool
	thirds  []string // what of others it may import; nil: anything
}{
	{"the domain's tests", []string{"jangbu/domain/domaintest"}, only("jangbu/domain"), []string{"github.com/google/uuid", "pgregory.net/rapid"}},
	{"the domain", []string{"jangbu/domain"}, only("jangbu/domain"), []string{"github.com/google/uuid"}},
	{"an embedded server", []string{"jangbu/infra/embedded"}, own(4), nil},
	{"the web server", []string{"jangbu/infra/web"}, only("jangbu/infra/web", "jangbu/domain/event"), nil},
	{"a payment gateway", []string{"jangbu/infra/gateway"}, only("jangbu/infra/gateway", "jangbu/domain/event", "jangbu/domain/payment"), nil},
	{"how loops wait", []string{"jangbu/infra/backoff"}, only(), []string{}},
	{"what adapters of Redis share", []string{"jangbu/infra/redisdb"}, only("jangbu/domain/event"), []string{"github.com/google/uuid", "github.com/redis/go-redis/v9"}},
	{"an adapter", []string{"jangbu/infra"}, func(importer, imported string) bool {
		return within(imported, adapter(importer), "jangbu/domain/event", "jangbu/query/row", "jangbu/infra/backoff", "jangbu/infra/redisdb")
	}, nil},
	{"fulfilment", []string{"jangbu/command/fulfilment"}, only("jangbu/domain", "jangbu/infra/backoff"), []string{"github.com/hashicorp/golang-lru"}},
	{"command", []string{"jangbu/command"}, only("jangbu/command", "jangbu/domain", "jangbu/infra/web"), nil},
	{"the vocabulary of the read side", []string{"jangbu/query/row"}, only("jangbu/domain/event"), []string{"github.com/segmentio/encoding"}},
	{"the views", []string{"jangbu/query/view"}, only("jangbu/domain", "jangbu/query/row"), []string{"golang.org/x/text/unicode/norm"}},
	{"query", []string{"jangbu/query"}, only("jangbu/query", "jangbu/domain/event", "jangbu/infra/web"), nil},
	{"projector", []string{"jangbu/projector"}, only("jangbu/projector", "jangbu/domain/event", "jangbu/infra/backoff", "jangbu/query/row", "jangbu/query/view"), nil},
	{"cli and tests", []string{"jangbu/cli", "jangbu/test"}, only("jangbu"), nil},
}

func only(roots ...string) func(string, string) bool {
	return func(_, imported string) bool { return within(imported, roots...) }
}

// own allows the importer's own folder, so many elements deep.
func own(depth int) func(string, string) bool {
	return func(importer, imported string) bool {
		parts := strings.Split(importer, "/")
		return within(imported, strings.Join(parts[:min(depth, len(parts))], "/"))
	}
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		if p.ImportPath == "jangbu" { // main
			for _, imported := range p.Imports {
				if ours(imported) && imported != "jangbu/cli" {
					t.Errorf("main imports %s; it dispatches to cli and does nothing else", imported)
				}
			}
			continue
		}
		at := -1
		for i, r := range rules {
			if within(p.ImportPath, r.of...) {
				at = i
				break
			}
		}
		if at < 0 {
			t.Errorf("%s belongs to no part of the design", p.ImportPath)
			continue
		}
		r := rules[at]
		seen[r.part] = true
		for _, imported := range p.Imports {
			switch {
			case ours(imported) && !r.allowed(p.ImportPath, imported):
				t.Errorf("%s imports %s, which %s may not", p.ImportPath, imported, r.part)
			case !ours(imported) && !std(imported) && r.thirds != nil && !within(imported, r.thirds...):
				t.Errorf("%s imports %s, which %s may not", p.ImportPath, imported, r.part)
			}
		}
	}
	for _, r := range rules {
		if !seen[r.part] {
			t.Errorf("the rule for %s matches no package", r.part)
		}
	}
}

// TestEmbedded: the servers for development are known to cli and to tests alone, so nothing in production needs them.
func TestEmbedded(t *testing.T) {
	for _, p := range list(t) {
		for _, imported := range p.Imports {
			if within(imported, "jangbu/infra/embedded") && !within(p.ImportPath, "jangbu/infra/embedded", "jangbu/cli", "jangbu/test") {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// TestTestsStayOut: what only tests need is imported by tests only.
func TestTestsStayOut(t *testing.T) {
	isTest := func(path string) bool {
		return within(path, "jangbu/test", "testing") || strings.HasSuffix(path, "test") && ours(path)
	}
	for _, p := range list(t) {
		if isTest(p.ImportPath) {
			continue
		}
		for _, imported := range p.Imports {
			if isTest(imported) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// TestLayout: the folders that the design promises are there, and no others hold code.
func TestLayout(t *testing.T) {
	want := []string{"cli", "command", "domain", "infra", "projector", "query", "test"}
	var got []string
	for _, p := range list(t) {
		if rest, ok := strings.CutPrefix(p.ImportPath, "jangbu/"); ok {
			top, _, _ := strings.Cut(rest, "/")
			got = append(got, top)
		}
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("code is in %v, want %v", got, want)
	}
	for _, file := range []string{"main.go", "go.mod", "docker-compose.yml", "README.md", "docs/DESIGN.md"} {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, name := range []string{"utils", "util", "common", "helpers", "constants", "misc"} {
		if found, _ := filepath.Glob(filepath.Join(root, "*", name)); len(found) > 0 {
			t.Errorf("%v: a package is named by what it is for", found)
		}
	}
}
