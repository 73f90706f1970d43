package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"jangbu/cli/term"
	"jangbu/infra/embedded/eventstoredb"
)

type storeVerifyMode struct {
	File string `arg:"" optional:"" type:"existingfile" help:"File to check; without it, the one in --data."`
	dataFlags
	JSON bool `name:"json" help:"Print JSON, for a script." env:"JANGBU_JSON"`
}

func (storeVerifyMode) Help() string {
	return `
Reads the whole file and changes nothing: the checksum of every event, log against index in both directions, revisions from 0 without a gap, names of streams. No server may have it open; of a running one, check a backup.

What is wrong is printed to stderr, one problem a line, and the exit code is 3. It is 1 when the file could not be looked at.

Examples:

    jangbu store verify
    jangbu store verify shop.db --json
`
}

// verification is the result as JSON.
type verification struct {
	File         string   `json:"file"`
	Events       uint64   `json:"events"`
	Streams      uint64   `json:"streams"`
	LastPosition uint64   `json:"last_position"`
	Bytes        int64    `json:"bytes"`
	Sound        bool     `json:"sound"`
	Problems     []string `json:"problems"`
}

// Run prints what was found.
func (m *storeVerifyMode) Run(ctx context.Context, a *app) error {
	path := m.File
	if path == "" {
		path = m.file()
	}
	report, err := verified(ctx, a, path, "restore a backup (jangbu store restore)")
	if code := codeOf(err); err != nil && code != exitDrift {
		return err
	}
	if m.JSON {
		problems := report.Problems
		if err != nil && len(problems) == 0 { // damage that ended the check
			problems = []string{err.Error()}
		}
		printed := json.NewEncoder(a.stdout).Encode(verification{path, report.Events, report.Streams, report.LastPosition,
			report.FileBytes, err == nil, append([]string{}, problems...)})
		return errors.Join(err, printed)
	}
	return errors.Join(err, printReport(a, path, report, err == nil))
}

func printReport(a *app, path string, r eventstoredb.Report, sound bool) error {
	verdict := "sound"
	if !sound {
		verdict = "damaged"
	}
	table := term.NewTable("FILE", "EVENTS>", "STREAMS>", "LAST POSITION>", "BYTES>", "VERDICT")
	table.Row(path, term.Count(int64(r.Events)), term.Count(int64(r.Streams)), strconv.FormatUint(r.LastPosition, 10),
		term.Count(r.FileBytes), verdict)
	if _, err := table.WriteTo(a.stdout); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}
