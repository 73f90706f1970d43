package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionMode struct{}

func (versionMode) Help() string {
	return `
Examples:

    jangbu version
`
}

// Run prints the version, the commit it was built from, and the Go version.
func (versionMode) Run(a *app) error {
	_, err := fmt.Fprintln(a.stdout, versionLine(debug.ReadBuildInfo()))
	return err
}

func versionLine(info *debug.BuildInfo, ok bool) string {
	version, commit := "(unknown)", ""
	if ok {
		version = info.Main.Version
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if revision := settings["vcs.revision"]; revision != "" {
			commit = " " + revision[:min(12, len(revision))]
			if settings["vcs.modified"] == "true" {
				commit += "+changes"
			}
		}
	}
	return fmt.Sprintf("jangbu %s%s %s %s/%s", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
