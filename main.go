// Command jangbu is a shop's ledger: a CQRS and event-sourcing backend in one binary. See jangbu --help.
package main

import (
	"os"

	"jangbu/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
