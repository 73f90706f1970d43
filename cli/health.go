package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"jangbu/infra/web"
)

type healthMode struct {
	URL     string        `arg:"" help:"Address of the service."`
	Timeout time.Duration `help:"How long to wait for the answer." default:"3s" env:"JANGBU_HEALTH_TIMEOUT" placeholder:"TIME"`
}

func (healthMode) Help() string {
	return `
Exit code 0 when GET /readyz answers 200, 1 when it does not, with the checks that are red in a line on stderr: the health check of a container whose image has no curl.

Examples:

    jangbu health http://127.0.0.1:8082
    jangbu health http://127.0.0.1:8083 --timeout 1s
`
}

// Validate implements kong.Validatable.
func (m *healthMode) Validate() error {
	if m.Timeout <= 0 {
		return fmt.Errorf("--timeout must be longer than nothing, not %s", m.Timeout)
	}
	return nil
}

// Run asks once.
func (m *healthMode) Run(ctx context.Context, a *app) error {
	base, err := webURL(m.URL)
	if err != nil {
		return &failure{exitUsage, err}
	}
	ctx, cancel := context.WithTimeout(ctx, m.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("readyz").String(), nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", m.URL, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w; see that the service runs there", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	if err != nil {
		return fmt.Errorf("not ready: read the answer of %s: %w", req.URL, err)
	}
	if resp.StatusCode != http.StatusOK {
		if red := redChecks(body, time.Now()); red != "" {
			return fmt.Errorf("not ready: %s: %s", req.URL, red)
		}
		return fmt.Errorf("not ready: %s answered %s: %s", req.URL, resp.Status, strings.Join(strings.Fields(string(body)), " "))
	}
	_, err = fmt.Fprintln(a.stdout, "ready")
	return err
}

// maxHealth is the most of an answer that is read: much more than all checks of a service take.
const maxHealth = 1 << 20

// redChecks says which checks of an answer are red, since when and why; nothing of an answer that has none.
func redChecks(body []byte, now time.Time) string {
	var answer struct {
		Checks map[string]web.Check `json:"checks"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var red []string
	for _, name := range slices.Sorted(maps.Keys(answer.Checks)) {
		if check := answer.Checks[name]; !check.OK {
			red = append(red, fmt.Sprintf("%s since %s: %s", name, clock(check.Since, now), check.Error))
		}
	}
	return strings.Join(red, "; ")
}
