package command_test

import (
	"testing"

	"jangbu/command"
	"jangbu/command/commandtest"
)

func TestSuiteOnFakeLog(t *testing.T) {
	commandtest.Run(t, func(*testing.T) command.Store { return &fakeLog{} })
}
