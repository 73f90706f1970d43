package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"jangbu/cli/term"
)

// yesFlags let a script do what a person is asked about.
type yesFlags struct {
	Yes bool `help:"Do not ask." env:"JANGBU_YES"`
}

// confirm asks on the terminal before something that cannot be undone, and fails unless the answer is yes.
func (f yesFlags) confirm(ctx context.Context, a *app, question string) error {
	switch {
	case f.Yes:
		return nil
	case !term.IsTerminal(os.Stdin):
		return &failure{exitUsage, fmt.Errorf("%s Nobody is there to ask: say --yes", question)}
	}
	return ask(ctx, os.Stdin, a.stderr, question)
}

func ask(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // it is left behind when ctx ends first
		line, _ := bufio.NewReader(in).ReadString('\n') // an input that ends has said no
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case said := <-answer:
		if said == "y" || said == "yes" {
			return nil
		}
		return errors.New("nothing was done")
	case <-ctx.Done():
		return &failure{exitInterrupted, errors.New("interrupted; nothing was done")}
	}
}
