// Package cli is the command line of jangbu: one file a mode, and what they share.
//
// It is the only place where the parts are wired together, where the process's environment is read, where signals
// are heard, and where errors are printed. Main walks like this:
//
//	arguments, environment ─► grammar (kong) ─► mode.Run(ctx, app) ─► error ─► one line on stderr, exit code
//
// A mode's Run blocks until its work is done or ctx ends. The first SIGINT or SIGTERM ends ctx; a second one
// kills the process, for the case that a part does not stop.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // it did not work, or worked in part
	exitUsage       = 2   // the arguments make no sense; nothing was done
	exitDrift       = 3   // a verification found differences; nothing was switched
	exitInterrupted = 130 // a signal ended work that was not done yet
)

// grammar is every mode with its flags. Each mode is a type in a file of its own.
type grammar struct {
	LogLevel  string `help:"Least level of what is logged to stderr: debug, info, warn or error. Default: info for services, warn for work." enum:",debug,info,warn,error" default:"" env:"JANGBU_LOG_LEVEL" placeholder:"LEVEL"`
	LogFormat string `help:"Form of the log: text or json." enum:"text,json" default:"text" env:"JANGBU_LOG_FORMAT" placeholder:"FORM"`

	Dev        devMode        `cmd:"" group:"all" help:"Run everything in one process: the embedded servers and all services."`
	Stack      stackMode      `cmd:"" group:"all" help:"Run only the embedded event store, SNS/SQS and Redis."`
	Command    commandMode    `cmd:"" group:"services" help:"Serve the POST API."`
	Fulfilment fulfilmentMode `cmd:"" group:"services" help:"Carry orders through stock and payment."`
	Projector  projectorMode  `cmd:"" group:"services" help:"Carry events from the store to the views."`
	Query      queryMode      `cmd:"" group:"services" help:"Serve the GET API."`
	Provision  provisionMode  `cmd:"" group:"work" help:"Create the topic, queues, subscriptions and dead-letter queues."`
	Import     importMode     `cmd:"" group:"work" help:"Post a folder of CSV files through the API."`
	Replay     replayMode     `cmd:"" group:"work" help:"Rebuild views from the log without a pause."`
	Rollback   rollbackMode   `cmd:"" group:"work" help:"Go back to the generation of a view that was live before."`
	Audit      auditMode      `cmd:"" group:"work" help:"Compare a view with what the log folds to."`
	Views      viewsMode      `cmd:"" group:"work" help:"Show how each view is doing: position, lag, queue, what is wrong."`
	Parked     parkedMode     `cmd:"" group:"work" help:"Deal with events that a view's code cannot land."`
	DLQ        dlqMode        `cmd:"" group:"work" name:"dlq" help:"Deal with messages in a dead-letter queue."`
	Trace      traceMode      `cmd:"" group:"work" help:"Show where the events of a stream have got to."`
	Store      storeMode      `cmd:"" group:"work" help:"Look after an event store: check, back up, move, count."`
	Health     healthMode     `cmd:"" group:"work" help:"Ask a service whether it is ready."`
	Version    versionMode    `cmd:"" group:"work" help:"Print the version."`
}

const description = "A shop's ledger: commands are POSTed, become events, and land in views that a GET reads with one look-up. " +
	"Start with: jangbu dev. " +
	"Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a verification found differences, 130 interrupted before the work was done."

// app is what every mode gets from the process around it.
type app struct {
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
}

// Main runs the command line and returns the exit code of the process. It hears SIGINT and SIGTERM.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from now on a signal has its default effect: the second one kills
	return Run(ctx, args, stdout, stderr)
}

// Run is Main with a context in place of signals, for a program run whole inside a test. It writes to stdout and stderr
// from several goroutines, one call at a time each.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = &serialWriter{w: stdout}, &serialWriter{w: stderr}
	var g grammar
	exited := -1
	parser := newParser(&g, stdout, stderr, func(code int) { exited = code })
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if err != nil {
		sayError(stderr, fmt.Errorf("%w; see %s --help", err, modeOf(err)))
		return exitUsage
	}
	if g.LogLevel == "" {
		g.LogLevel = "info"
		if group := parsed.Selected().ClosestGroup(); group != nil && group.Key == "work" {
			g.LogLevel = "warn"
		}
	}
	a := &app{stdout: stdout, stderr: stderr, log: newLogger(stderr, g.LogLevel, g.LogFormat)}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(a); err != nil {
		err = orInterrupted(ctx, err)
		sayError(stderr, err)
		return codeOf(err)
	}
	return exitOK
}

func newParser(g *grammar, stdout, stderr io.Writer, exit func(int)) *kong.Kong {
	parser, err := kong.New(g, kong.Name("jangbu"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(exit), kong.ValueFormatter(flagHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "all", Title: "All in one, without Docker:"},
			{Key: "services", Title: "Services, one process each:"},
			{Key: "work", Title: "Work and looking after:"},
		}))
	if err != nil {
		panic(fmt.Sprintf("cli: the grammar is wrong: %v", err)) // a programming error, found by any test
	}
	return parser
}

// flagHelp is what the help says of a flag: its text, its default, and the environment variable that sets it.
func flagHelp(v *kong.Value) string {
	text := v.Help
	if v.HasDefault && v.Default != "" {
		text += " Default: " + v.Default + "."
	}
	if len(v.Tag.Envs) > 0 {
		text += " ($" + strings.Join(v.Tag.Envs, ", $") + ")"
	}
	return text
}

// modeOf names the mode whose help explains a parse error, as it is typed.
func modeOf(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		return parse.Context.Selected().FullPath()
	}
	return "jangbu"
}

// failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// orInterrupted is what a mode's error is when a signal has ended its work: what failed then is not to be looked into. A mode
// that says by a failure what an interruption leaves behind knows better.
func orInterrupted(ctx context.Context, err error) error {
	var f *failure
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) || errors.As(err, &f) {
		return err
	}
	return &failure{exitInterrupted, errors.New("interrupted")}
}

func codeOf(err error) int {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitFailed
}

// sayError prints an error as one line.
func sayError(w io.Writer, err error) { fmt.Fprintf(w, "jangbu: %s\n", oneLine(err)) }

// oneLine is an error as one line, however many errors it joins.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
