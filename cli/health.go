package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type healthMode struct {
	URL     string        `arg:"" help:"Address of the service."`
	Timeout time.Duration `help:"How long to wait for the answer." default:"3s" env:"JANGBU_HEALTH_TIMEOUT" placeholder:"TIME"`
}

func (healthMode) Help() string {
	return `
Exit code 0 when GET /readyz answers 200, 1 when it does not: the health check of a container whose image has no curl.

Examples:

    jangbu health http://127.0.0.1:8082
    jangbu health http://127.0.0.1:8083 --timeout 1s
`
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
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("not ready: read the answer of %s: %w", req.URL, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answered %s: %s", req.URL, resp.Status, strings.Join(strings.Fields(string(body)), " "))
	}
	_, err = fmt.Fprintln(a.stdout, "ready")
	return err
}
