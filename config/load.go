package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"reflect"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxFile is more than any configuration needs, in bytes.
const maxFile = 1 << 20

// environment is what mistakes in variables name as their file.
const environment = "environment"

// Default returns the configuration of a machine with neither file nor
// environment: the embedded engine on 127.0.0.1:8080.
func Default() Config {
	cfg, err := Load("", false, func(string) string { return "" })
	if err != nil {
		panic("config: the defaults do not hold: " + err.Error())
	}
	return cfg
}

// Load reads the configuration. The file is path where explicit is true (it
// was given on the command line); otherwise the one $PITHOS_CONFIGURATION
// names; otherwise path, if it exists and is not empty ([DefaultPath]); otherwise
// none, and the defaults hold. Environment variables win over the file; empty
// ones count as unset.
//
// The error, if any, is of type [Errors] and names every mistake that was
// found. Load reads no other file than the configuration: certificates and
// keys are opened by those who use them.
func Load(path string, explicit bool, getenv func(string) string) (Config, error) {
	var cfg Config
	setDefaults(reflect.ValueOf(&cfg).Elem())
	path, data, err := source(path, explicit, getenv)
	if err != nil {
		return Config{}, Errors{err}
	}
	d := newDecoder(path)
	d.document(data, &cfg)
	inFile := hasSecret(reflect.ValueOf(&cfg).Elem()) // before the environment adds its own
	fileClusters := clusters(&cfg)
	d.environment(getenv, &cfg)
	if len(d.errs) == 0 {
		d.complete(getenv, fileClusters, &cfg)
	}
	if len(d.errs) > 0 {
		return Config{}, d.errs.sorted()
	}
	cfg.Source, cfg.Warnings, cfg.SecretsInFile = path, d.notes, inFile
	return cfg, nil
}

// source chooses the file and reads it. No file at all is no error.
func source(path string, explicit bool, getenv func(string) string) (string, []byte, *Error) {
	from := ""
	switch named := getenv("PITHOS_CONFIGURATION"); {
	case explicit:
		from = "it was given with -f"
	case named != "":
		path, from = named, "PITHOS_CONFIGURATION names it"
	case path == "":
		return "", nil, nil
	}
	if path == "" {
		return "", nil, &Error{File: "-f", Problem: "the path of the configuration is empty", Hint: "name a file, or leave -f out"}
	}
	data, err := read(path)
	switch {
	case err == nil:
		return path, data, nil
	case errors.Is(err, fs.ErrNotExist) && from == "":
		return "", nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, &Error{File: path, Problem: "there is no such file", Hint: from + "; leave it out to run with defaults"}
	}
	return "", nil, &Error{File: path, Problem: "cannot be read: " + reason(err)}
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	// Nothing was written, so closing has nothing to say.
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return data, err
}

// reason is an error without the path, which the message has already.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return err.Error()
}

// environment applies the variables: those that tags name, and the three that
// set more than one key.
func (d *decoder) environment(getenv func(string) string, cfg *Config) {
	file := d.file
	d.file = environment
	defer func() { d.file = file }()
	d.variables(getenv, "", reflect.ValueOf(cfg).Elem())
	d.listen(getenv("PITHOS_LISTEN"), &cfg.Service)
	d.rootKey(getenv("PITHOS_ACCESS_KEY"), getenv("PITHOS_SECRET_KEY"), &cfg.Keystore)
}

// variables sets every key whose tag names a variable that is set.
func (d *decoder) variables(getenv func(string) string, path string, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		if f.legacy() {
			continue
		}
		full := join(path, f.name)
		if f.typ.Kind() == reflect.Struct {
			d.variables(getenv, full, v.FieldByIndex(f.index))
		}
		if f.env == "" {
			continue
		}
		if text := getenv(f.env); text != "" {
			n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
			d.value(&f, f.env, n, v.FieldByIndex(f.index))
			d.lines[full], d.variable[full] = 0, f.env
		}
	}
}

// listen splits PITHOS_LISTEN into host and port.
func (d *decoder) listen(text string, s *Service) {
	if text == "" {
		return
	}
	host, port, err := net.SplitHostPort(text)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	if err != nil || notNumber != nil {
		d.fail(0, "PITHOS_LISTEN", fmt.Sprintf("expected host:port, found %q", clip(text)), "such as 127.0.0.1:8080, or 0.0.0.0:8080 for every interface")
		return
	}
	s.Host, s.Port = host, int(n)
	d.forget("service.host")
	d.variable["service.host"] = "PITHOS_LISTEN"
}

// rootKey adds the environment's key, or gives a key of the file its secret.
func (d *decoder) rootKey(id, secret string, ks *Keystore) {
	if id == "" && secret == "" {
		return
	}
	if id == "" || secret == "" {
		d.fail(0, "PITHOS_ACCESS_KEY", "and PITHOS_SECRET_KEY must be set together", "set both, or neither")
		return
	}
	if ks.Keys == nil {
		ks.Keys = map[string]Key{}
	}
	d.variable[join("keystore.keys", id)] = "PITHOS_ACCESS_KEY"
	key := ks.Keys[id]
	key.Secret, key.Master = Secret(secret), true
	if key.Tenant == "" {
		key.Tenant = RootTenant
	}
	ks.Keys[id], ks.Root = key, id
}
