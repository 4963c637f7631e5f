package schema

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

//go:embed migrations
var files embed.FS

// Role is what a keyspace is used for. Several roles may share one.
type Role string

const (
	Meta Role = "meta" // the tables of package meta/cassandra
	Blob Role = "blob" // the tables of package blob/cassandra
)

// migration takes a role's tables from version-1 to version. Each of its
// statements can be run again, after it or beside it, without harm.
type migration struct {
	version    int
	name       string
	statements []string // with placeholders
}

// checksum identifies what a migration does: comments and spacing are free.
func (m migration) checksum() string {
	h := sha256.New()
	for _, s := range m.statements {
		fmt.Fprintf(h, "%s;\n", strings.Join(strings.Fields(s), " "))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// migrations returns the role's migrations in order, as this binary knows
// them: version n is the n-th.
func migrations(role Role) ([]migration, error) {
	if role != Meta && role != Blob {
		return nil, fmt.Errorf("schema: no role %q: want %q or %q", role, Meta, Blob)
	}
	return loadMigrations(files, path.Join("migrations", string(role)))
}

var migrationName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.cql$`)

func loadMigrations(fsys fs.FS, dir string) ([]migration, error) {
	entries, err := fs.ReadDir(fsys, dir) // sorted by name, and so by version
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	var ms []migration
	for _, e := range entries {
		m := migrationName.FindStringSubmatch(e.Name())
		if m == nil {
			return nil, fmt.Errorf("schema: %s/%s: want a name like 0001_what.cql", dir, e.Name())
		}
		version, err := strconv.Atoi(m[1])
		if err != nil || version != len(ms)+1 {
			return nil, fmt.Errorf("schema: %s/%s: want version %d next", dir, e.Name(), len(ms)+1)
		}
		text, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		statements, err := split(string(text))
		if err != nil {
			return nil, fmt.Errorf("schema: %s/%s: %w", dir, e.Name(), err)
		}
		ms = append(ms, migration{version, e.Name(), statements})
	}
	return ms, nil
}

// split cuts a file into its statements, without comments ("--" to the end of
// the line) and the closing semicolons. Both mean nothing within quotes.
func split(text string) ([]string, error) {
	var statements []string
	var b strings.Builder
	flush := func() {
		if s := strings.TrimSpace(b.String()); s != "" {
			statements = append(statements, s)
		}
		b.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return nil, fmt.Errorf("a %c is never closed", c)
			}
			b.WriteString(text[i : i+end+2])
			i += end + 1
		case strings.HasPrefix(text[i:], "--"):
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case c == ';':
			flush()
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return statements, nil
}

// dialect is what differs between servers.
type dialect struct{ leveled, tiered string }

// dialectOf returns the dialect of a release. 5.0 brought the unified
// strategy, which compacts in small independent pieces and in parallel where
// the older ones rewrite whole levels or tiers; 4.1 has the older ones only.
func dialectOf(release string) (dialect, error) {
	major, _, _ := strings.Cut(release, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return dialect{}, fmt.Errorf("schema: the server's release is %q: want a version number", release)
	}
	if n >= 5 {
		return dialect{
			leveled: `{'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'L10'}`,
			tiered:  `{'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4'}`,
		}, nil
	}
	return dialect{
		leveled: `{'class': 'LeveledCompactionStrategy'}`,
		tiered:  `{'class': 'SizeTieredCompactionStrategy'}`,
	}, nil
}

// render fills a statement's placeholders.
func (d dialect) render(statement, keyspace string) string {
	return strings.NewReplacer(
		"{{keyspace}}", quote(keyspace),
		"{{leveled}}", d.leveled,
		"{{tiered}}", d.tiered,
	).Replace(statement)
}

var keyspaceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,47}$`)

func checkKeyspace(name string) error {
	if !keyspaceName.MatchString(name) {
		return fmt.Errorf("schema: keyspace %q: want a letter, then up to 47 letters, digits and underscores", name)
	}
	return nil
}

// quote keeps a checked name's case, as the drivers do.
func quote(name string) string { return `"` + name + `"` }
