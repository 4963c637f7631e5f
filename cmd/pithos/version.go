package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3". Other
// builds say what the Go toolchain knows.
var version = ""

// build is what a binary knows of its own making.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit, RFC 3339
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// currentBuild describes the running binary.
func currentBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describeBuild(info, version)
}

// describeBuild reads build information; release, if any, is the version.
func describeBuild(info *debug.BuildInfo, release string) build {
	b := build{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "development"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// print writes the build for people.
func (b build) print(w io.Writer) error {
	text := fmt.Sprintf("pithos %s\n", b.Version)
	if b.Commit != "" {
		changed := ""
		if b.Modified {
			changed = ", with local changes"
		}
		text += fmt.Sprintf("commit %s of %s%s\n", b.Commit, b.Time, changed)
	}
	text += fmt.Sprintf("%s %s\n", b.Go, b.Platform)
	_, err := io.WriteString(w, text)
	return err
}

func newVersionCommand() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show which pithos this is",
		Long: "Version shows the version of this binary, the commit it was built from where\n" +
			"that is known, and the Go version and platform.",
		Example: "  pithos version\n  pithos version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return out.print(cmd, currentBuild(), currentBuild().print)
		},
	}
	out.flag(cmd, "object")
	return cmd
}
