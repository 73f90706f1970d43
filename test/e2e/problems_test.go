package e2e_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jangbu/test/program"
)

// Every problem that docs/problems.md lists for the query service is produced here by one, and no other.
func TestEveryQueryProblem(t *testing.T) {
	t.Parallel()
	s := openApart(t, program.AsProcess, t.TempDir(), "")
	s.importFolder(t, demo)
	s.wantFold(t)
	produced := []string{"internal"} // takes a fault of ours; infra/web produces it
	want := func(a answer, status int, code string) {
		t.Helper()
		a.wantProblem(t, status, code)
		produced = append(produced, code)
	}
	want(s.get(t, "/orders/1001", "If-None-Match: unquoted"), 400, "malformed-header")
	want(s.get(t, "/orders/1001", "Consistency-Token: order-1001"), 400, "malformed-header")
	want(s.get(t, "/orders/1001", "Consistency-Token: order-1001@-1"), 400, "malformed-header")
	for _, query := range []string{"limit=0", "limit=201", "limit=many", "limit=1.5", "limit=-1", "after=nonsense", "after=!"} {
		want(s.get(t, "/members/MIRAE/orders?"+query), 400, "malformed-parameter")
	}
	want(s.get(t, "/shelves"), 404, "route-not-found")
	want(s.get(t, "/members/none"), 404, "member-not-found")
	want(s.get(t, "/members/none/orders"), 404, "member-not-found")
	want(s.get(t, "/products/none"), 404, "product-not-found")
	want(s.get(t, "/orders/none"), 404, "order-not-found")
	posted := s.request(t, http.MethodPost, "/orders/1001", `{}`)
	if want(posted, 405, "method-not-allowed"); !strings.Contains(posted.header.Get("Allow"), "GET") {
		t.Errorf("Allow %q", posted.header.Get("Allow"))
	}
	want(s.get(t, "/orders/1001", "Consistency-Token: order-1001@7"), 503, "view-behind")

	s.programs["projector"].Stop(t)
	s.programs["stack"].Stop(t)
	s.awaitRed(t, s.query, "redis")
	want(s.get(t, "/readyz"), 503, "not-ready")
	want(s.get(t, "/orders/1001"), 503, "unavailable")
	s.restart(t, "stack")
	s.wantRebuilding(t)
	want(s.get(t, "/orders/1001"), 503, "view-rebuilding")

	text, err := os.ReadFile("../../docs/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| \\d{3} \\| `([a-z-]+)` \\| (both|query) \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(documented)
	slices.Sort(produced)
	if produced = slices.Compact(produced); !slices.Equal(produced, documented) {
		t.Errorf("produced   %v\ndocumented %v", produced, documented)
	}
}

func (s *shop) request(t *testing.T, method, path, body string) answer {
	t.Helper()
	a, err := tryRequest(method, s.query+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
