package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes \r\n": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		var out bytes.Buffer
		err := ask(t.Context(), strings.NewReader(answer), &out, "Really?")
		if (err == nil) != want || out.String() != "Really? [y/N] " {
			t.Errorf("%q: %v, asked %q", answer, err, out.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, end := io.Pipe()
	defer end.Close()
	if err := ask(ctx, in, io.Discard, "Really?"); codeOf(err) != exitInterrupted {
		t.Errorf("interrupted: %v", err)
	}
}
