//go:build linux

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheRPMInstallsAndGoes installs the first of the packages in PITHOS_TEST_RPM
// (a list as in PATH; deploy/packaging/build rpm makes them) into a root of its
// own, upgrades it to the last one and removes it: without systemd, and with a
// systemctl that records its arguments. The root has no tool of Debian's. The test
// needs rpm, and to run as root.
func TestTheRPMInstallsAndGoes(t *testing.T) {
	files := filepath.SplitList(os.Getenv("PITHOS_TEST_RPM"))
	if len(files) == 0 {
		t.Skip("PITHOS_TEST_RPM is not set: with it, the packages that it names are installed into a folder")
	}
	for _, systemd := range []bool{false, true} {
		t.Run(map[bool]string{true: "systemd", false: "without systemd"}[systemd], func(t *testing.T) {
			r := newRoot(t, systemd)
			r.rpm("-i", "--nodeps", files[0])
			r.installed(systemd)
			r.write("etc/pithos/pithos.yaml", "# mine\n")
			r.rpm("-U", "--nodeps", "--replacepkgs", files[len(files)-1])
			if calls := r.read("calls"); systemd && (!strings.Contains(calls, "try-restart pithos.service") || strings.Contains(calls, "disable")) {
				t.Errorf("an upgrade stops the service, or does not restart it:\n%s", calls)
			}
			if got := r.read("etc/pithos/pithos.yaml"); got != "# mine\n" {
				t.Errorf("an upgrade has replaced the configuration:\n%s", got)
			}
			r.write("var/lib/pithos/object", "data")
			r.rpm("-e", "pithos")
			if calls := r.read("calls"); systemd && !strings.Contains(calls, "disable --now pithos.service pithos.socket pithos-admin.socket") {
				t.Errorf("the service goes on:\n%s", calls)
			}
			if r.read("var/lib/pithos/object") != "data" || r.has("usr/bin/pithos") {
				t.Error("the data is gone, or the binary is not")
			}
		})
	}
}

// root is a folder that programs are run in.
type root struct {
	t   *testing.T
	dir string
}

func newRoot(t *testing.T, systemd bool) root {
	r := root{t, t.TempDir()}
	for _, program := range []string{"sh", "getent", "useradd", "chown", "cat"} {
		r.copyProgram(program)
	}
	for name, text := range map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/shadow": "root:*:1::::::\n",
		"etc/gshadow": "root:*::\n", "dev/null": "", "usr/sbin/nologin": "", "etc/nsswitch.conf": "passwd: files\ngroup: files\n", "calls": "",
		"usr/bin/systemctl": "#!/bin/sh\necho \"$*\" >>/calls\n"} {
		r.write(name, text)
	}
	if err := os.Chmod(r.path("usr/bin/systemctl"), 0o755); err != nil {
		t.Fatal(err)
	}
	if systemd {
		r.write("run/systemd/system/.there", "")
	}
	r.rpm("--initdb")
	return r
}

func (r root) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r root) has(name string) bool {
	_, err := os.Stat(r.path(name))
	return err == nil
}

func (r root) write(name, text string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r root) read(name string) string {
	r.t.Helper()
	return read(r.t, r.path(name))
}

var library = regexp.MustCompile(`(/\S+) \(0x`)

// copyProgram copies a program of this machine, with its libraries.
func (r root) copyProgram(name string) {
	r.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		r.t.Skip(err)
	}
	libraries, err := exec.Command("ldd", path).Output()
	if err != nil {
		r.t.Fatalf("ldd %s: %v", path, err)
	}
	files := map[string]string{path: "usr/bin/" + name}
	for _, m := range library.FindAllStringSubmatch(string(libraries), -1) {
		files[m[1]] = m[1]
	}
	for from, to := range files {
		r.write(to, read(r.t, from))
		if err := os.Chmod(r.path(to), 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	if name == "sh" {
		if err := os.Symlink("usr/bin", r.path("bin")); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r root) rpm(args ...string) {
	r.t.Helper()
	out, err := exec.Command("rpm", append([]string{"--root", r.dir, "--define", "_dbpath /var/lib/rpm"}, args...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "scriptlet failed") {
		r.t.Fatalf("rpm %q: %v\n%s", args, err, out)
	}
}

// installed holds that the package has done what it says.
func (r root) installed(systemd bool) {
	r.t.Helper()
	for _, name := range []string{"usr/bin/pithos", "etc/pithos/pithos.yaml", "etc/default/pithos", "usr/lib/systemd/system/pithos.service",
		"usr/share/man/man1/pithos-serve.1.gz", "usr/share/doc/pithos/docs/clients/s3cmd.md", "usr/share/licenses/pithos/LICENSE"} {
		if !r.has(name) {
			r.t.Errorf("there is no /%s", name)
		}
	}
	if passwd := r.read("etc/passwd"); !strings.Contains(passwd, "pithos:x:") || !strings.Contains(passwd, ":/var/lib/pithos:/usr/sbin/nologin") {
		r.t.Errorf("there is no user:\n%s", passwd)
	}
	out, err := exec.Command(r.path("usr/bin/pithos"), "version").CombinedOutput()
	if err != nil {
		r.t.Errorf("version: %v\n%s", err, out)
	}
	if calls := r.read("calls"); systemd != strings.Contains(calls, "daemon-reload") || strings.Contains(calls, "enable --now pithos.service") {
		r.t.Errorf("systemctl was asked for:\n%s", calls)
	}
}
