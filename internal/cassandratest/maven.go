//go:build unix

package cassandratest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

//go:embed conf/pom.xml
var pomXML []byte

// envVersion names another Cassandra than conf/pom.xml's, for servers that are
// started from jars: 4.1.10, for one.
const envVersion = "PITHOS_TEST_CASSANDRA_VERSION"

var pomVersion = regexp.MustCompile(`(<artifactId>cassandra-all</artifactId>\s*<version>)[^<]+`)

// pom is conf/pom.xml, with the version that is asked for.
func pom() []byte {
	if v := os.Getenv(envVersion); v != "" {
		return pomVersion.ReplaceAll(pomXML, []byte("${1}"+v))
	}
	return pomXML
}

// older is what Cassandra 4.1, which knows Java 11 at most, needs beside
// conf/jvm.options on Java 17. Its own scripts load the agent too; without it
// the sizes of lambdas cannot be had.
func older(classPath string) []string {
	if !strings.HasPrefix(os.Getenv(envVersion), "4.") {
		return nil
	}
	args := []string{"-Djava.security.manager=allow"}
	for _, jar := range filepath.SplitList(classPath) {
		if strings.HasPrefix(filepath.Base(jar), "jamm-") {
			args = append(args, "-javaagent:"+jar)
		}
	}
	for _, pkg := range []string{"java.lang.ref", "java.math", "java.net", "java.nio", "java.nio.charset", "java.time",
		"java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks", "java.util.function",
		"java.util.regex", "java.util.stream", "jdk.internal.misc", "sun.nio.cs"} {
		args = append(args, "--add-opens=java.base/"+pkg+"=ALL-UNNAMED")
	}
	return args
}

// javaVersion is the only Java that this harness starts Cassandra with:
// 5.0 runs on 11 and 17, and the options in conf/jvm.options are 17's.
const javaVersion = "17"

// errNoJava tells that the machine lacks what the Maven way needs.
var errNoJava = errors.New("no usable Java or Maven")

// runtime is what it takes to start a server process.
type javaRuntime struct {
	java      string // the executable
	classPath string // as -cp wants it
}

// resolveJava finds Java and the server's jars, asking Maven for them when
// they are not in the cache. The first time downloads some 66 MB.
func resolveJava(ctx context.Context) (javaRuntime, error) {
	java, err := findJava(ctx)
	if err != nil {
		return javaRuntime{}, err
	}
	cp, err := resolveClassPath(ctx)
	if err != nil {
		return javaRuntime{}, err
	}
	return javaRuntime{java: java, classPath: cp}, nil
}

var javaVersionRE = regexp.MustCompile(`version "(\d+)`)

func findJava(ctx context.Context) (string, error) {
	var seen []string
	for _, java := range javaCandidates() {
		out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
		if err != nil {
			continue
		}
		m := javaVersionRE.FindSubmatch(out)
		if m != nil && string(m[1]) == javaVersion {
			return java, nil
		}
		seen = append(seen, fmt.Sprintf("%s (%s)", java, firstLine(out)))
	}
	return "", fmt.Errorf("%w: Java %s not found in $JAVA_HOME, $PATH or /usr/lib/jvm (seen: %s)",
		errNoJava, javaVersion, strings.Join(seen, ", "))
}

func javaCandidates() []string {
	var c []string
	if home := os.Getenv("JAVA_HOME"); home != "" {
		c = append(c, filepath.Join(home, "bin", "java"))
	}
	if java, err := exec.LookPath("java"); err == nil {
		c = append(c, java)
	}
	more, _ := filepath.Glob("/usr/lib/jvm/*" + javaVersion + "*/bin/java") // the pattern is well-formed
	return append(c, more...)
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return string(line)
}

// resolveClassPath returns the jars of conf/pom.xml as one class path. The
// answer is cached by the pom's hash, and believed while every jar is there.
func resolveClassPath(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(pom())
	dir := filepath.Join(cache, "pithos-cassandratest", hex.EncodeToString(sum[:6]))
	file := filepath.Join(dir, "classpath")
	if b, err := os.ReadFile(file); err == nil && allExist(string(b)) {
		return string(b), nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("cassandratest: cache class path: %w", err)
	}
	// One process downloads, and the others wait for what it finds.
	lock, err := lockFile(filepath.Join(dir, "lock"), syscall.LOCK_EX)
	if err != nil {
		return "", fmt.Errorf("cassandratest: cache class path: %w", err)
	}
	defer lock.unlock()
	if b, err := os.ReadFile(file); err == nil && allExist(string(b)) {
		return string(b), nil
	}
	cp, err := askMaven(ctx)
	for try := 0; try < 2 && err != nil && ctx.Err() == nil && !errors.Is(err, exec.ErrNotFound); try++ {
		cp, err = askMaven(ctx) // goes on with what has come already
	}
	if err != nil {
		return "", err
	}
	if err := writeFileAtomic(file, []byte(cp)); err != nil {
		return "", fmt.Errorf("cassandratest: cache class path: %w", err)
	}
	return cp, nil
}

func askMaven(ctx context.Context) (string, error) {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("%w: Maven not found in $PATH: %w", errNoJava, err)
	}
	dir, err := os.MkdirTemp("", "pithos-mvn-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file, out := filepath.Join(dir, "pom.xml"), filepath.Join(dir, "classpath")
	if err := os.WriteFile(file, pom(), 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, mvn, "-B", "-q", "-f", file,
		"dependency:build-classpath", "-Dmdep.outputFile="+out)
	cmd.Dir = dir
	if log, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: mvn dependency:build-classpath: %v\n%s", errNoJava, err, tail(log, 2000))
	}
	cp, err := os.ReadFile(out)
	if err != nil {
		return "", fmt.Errorf("%w: Maven wrote no class path: %v", errNoJava, err)
	}
	return strings.TrimSpace(string(cp)), nil
}

func allExist(classPath string) bool {
	for _, jar := range filepath.SplitList(classPath) {
		if _, err := os.Stat(jar); err != nil {
			return false
		}
	}
	return classPath != ""
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// writeFileAtomic replaces name in one step, so that a reader in another
// process sees the old content or the new.
func writeFileAtomic(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
