package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/internal/assert"
)

// writeCertificate writes a self-signed certificate with a serial number.
func writeCertificate(t testing.TB, certificate, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reloadable is a process whose configuration and certificate a test changes.
type reloadable struct {
	*process
	path, certificate, key string
}

func startReloadable(t *testing.T, interval string) *reloadable {
	t.Helper()
	folder := t.TempDir()
	r := &reloadable{certificate: filepath.Join(folder, "tls.crt"), key: filepath.Join(folder, "tls.key")}
	writeCertificate(t, r.certificate, r.key, 1)
	r.process = startReady(t, r.yaml("ONE", interval), "PITHOS_DATA="+filepath.Join(folder, "data"))
	r.path = r.cmd.Args[len(r.cmd.Args)-1]
	return r
}

func (r *reloadable) yaml(key, interval string) string {
	return "keystore: {keys: {" + key + ": {tenant: t, secret: the-secret}}}\n" +
		"service: {reload-interval: " + interval + ", tls: {certificate: " + r.certificate + ", key: " + r.key + "}}\n" + adminYAML
}

// write replaces the configuration.
func (r *reloadable) write(t *testing.T, yaml string) {
	writeFile(t, r.path, yaml+"\nlogging: {level: debug, json: true}\n")
}

// accepts tells whether requests of an access key are, and which certificate
// a new connection is shown.
func (r *reloadable) accepts(t *testing.T, key string) (ok bool, serial int64) {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // the test looks at the serial number itself
		VerifyConnection: func(s tls.ConnectionState) error {
			serial = s.PeerCertificates[0].SerialNumber.Int64()
			if s.NegotiatedProtocol != "h2" {
				t.Errorf("protocol %q, want HTTP/2", s.NegotiatedProtocol)
			}
			return nil
		},
	}}
	defer transport.CloseIdleConnections()
	c := s3.New(s3.Options{
		BaseEndpoint: aws.String(r.endpoint), Region: "us-east-1", Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(key, "the-secret", ""),
	})
	_, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil && !strings.Contains(err.Error(), "InvalidAccessKeyId") {
		t.Fatal(err)
	}
	return err == nil, serial
}

func (r *reloadable) want(t *testing.T, key string, serial int64) {
	t.Helper()
	if ok, got := r.accepts(t, key); !ok || got != serial {
		t.Errorf("key %s accepted: %v, certificate %d, want %d", key, ok, got, serial)
	}
}

// hangUp sends the signal, and waits for the line that it brings about.
func (r *reloadable) hangUp(t *testing.T, expect string) map[string]any {
	t.Helper()
	return r.log.awaitMore(t, expect, func() { assert.NoError(t, r.cmd.Process.Signal(syscall.SIGHUP)) })
}

const notReloaded = "reloading the configuration failed; the old one stays in effect"

func TestHangupBringsInNewKeysAndCertificates(t *testing.T) {
	r := startReloadable(t, "0s")
	r.want(t, "ONE", 1)
	writeCertificate(t, r.certificate, r.key, 2)
	r.write(t, r.yaml("TWO", "0s")+"gc: {grace: 2h}\n")
	late := r.hangUp(t, "these changes of the configuration need a restart")
	if keys, ok := late["keys"].([]any); !ok || len(keys) != 1 || keys[0] != "gc.grace" {
		t.Errorf("need a restart: %v", late["keys"])
	}
	r.log.await(t, "configuration reloaded")
	r.want(t, "TWO", 2)
	if ok, _ := r.accepts(t, "ONE"); ok {
		t.Error("the key that was removed works on")
	}
	if strings.Contains(r.log.all(), "the-secret") {
		t.Error("the secret is in the log")
	}
}

// TestHangupOpensLogFilesAnew renames a log file, as logrotate does.
func TestHangupOpensLogFilesAnew(t *testing.T) {
	folder := t.TempDir()
	log, path := filepath.Join(folder, "pithos.log"), filepath.Join(folder, "pithos.yaml")
	writeFile(t, path, "logging: {level: info, json: true, files: ["+log+"]}\n")
	cmd := exec.Command(os.Args[0], "serve", "-f", path)
	cmd.Env = []string{"PITHOS_LISTEN=127.0.0.1:0", "PITHOS_DATA=" + filepath.Join(folder, "data")}
	p := startProcess(t, cmd)
	p.log.await(t, "pithos serves")
	assert.NoError(t, os.Rename(log, log+".1"))
	assert.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.log.await(t, "configuration reloaded")
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if old, now := readFile(t, log+".1"), readFile(t, log); !strings.Contains(old, "pithos listens") || strings.Contains(old, "reloaded") ||
		strings.Contains(now, "pithos listens") || !strings.Contains(now, "configuration reloaded") || !strings.Contains(now, "stopped") {
		t.Errorf("the old file has\n%s\nthe new one\n%s", old, now)
	}
}

// TestHangupChangesTheOldestTLS asks by TLS 1.2 before and after.
func TestHangupChangesTheOldestTLS(t *testing.T) {
	r := startReloadable(t, "0s")
	dial := func() error {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(r.endpoint, "https://"), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	assert.NoError(t, dial())
	r.write(t, strings.Replace(r.yaml("ONE", "0s"), "tls: {", "tls: {min-version: '1.3', ", 1))
	r.hangUp(t, "configuration reloaded")
	if err := dial(); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2 afterwards: %v", err)
	}
	r.want(t, "ONE", 1)
	if strings.Contains(r.log.all(), "at the next start") {
		t.Error("a restart is asked for")
	}
}

// TestNewMasterKeysAskForARestart changes the file that the configuration names.
func TestNewMasterKeysAskForARestart(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	writeFile(t, keys, testMasterKey+"\n")
	p := startReady(t, "encryption: {master-key-file: "+keys+"}\nservice: {reload-interval: 50ms}", "PITHOS_DATA="+filepath.Join(t.TempDir(), "data"))
	writeFile(t, keys, "bmV3IG1hc3RlciBrZXkgb2YgMzIgYnl0ZXMgISEhISE=\n"+testMasterKey+"\n")
	late := p.log.await(t, "these changes of the configuration need a restart")
	if got := fmt.Sprint(late["keys"]); got != "[encryption.master-key-file]" {
		t.Errorf("need a restart: %s", got)
	}
}

func TestBadConfigurationIsRefusedAndTheOldOneStays(t *testing.T) {
	cases := map[string]func(t *testing.T, r *reloadable){
		"mistake in the file": func(t *testing.T, r *reloadable) { r.write(t, r.yaml("TWO", "0s")+"servce: {}\n") },
		"no file":             func(t *testing.T, r *reloadable) { assert.NoError(t, os.Remove(r.path)) },
		"no certificate": func(t *testing.T, r *reloadable) {
			r.write(t, r.yaml("TWO", "0s"))
			writeFile(t, r.certificate, "none")
		},
		"TLS switched off": func(t *testing.T, r *reloadable) {
			r.write(t, "keystore: {keys: {TWO: {tenant: t, secret: the-secret}}}")
		},
	}
	r := startReloadable(t, "0s")
	admin := r.adminOf(t)
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			r.write(t, r.yaml("ONE", "0s"))
			writeCertificate(t, r.certificate, r.key, 5)
			ask(t, http.MethodPost, admin+"/-/reload", "", 200)
			spoil(t, r)
			r.log.awaitMore(t, notReloaded, func() { ask(t, http.MethodPost, admin+"/-/reload", "", 422) })
			r.hangUp(t, notReloaded)
			r.want(t, "ONE", 5)
			if ok, _ := r.accepts(t, "TWO"); ok {
				t.Error("half of it was taken")
			}
		})
	}
	if _, text := get(t.Context(), admin+"/metrics"); !strings.Contains(text, `pithos_reloads_total{result="done"} 4`) {
		t.Errorf("reloads are not counted: %s", text)
	}
}

func TestChangedFilesAreNoticed(t *testing.T) {
	r := startReloadable(t, "50ms")
	r.write(t, r.yaml("TWO", "50ms"))
	r.log.await(t, "configuration reloaded")
	r.want(t, "TWO", 1)
	r.log.awaitMore(t, notReloaded, func() { r.write(t, "nonsense: true") })
	r.want(t, "TWO", 1)
}

func TestRestartIsAskedForByName(t *testing.T) {
	old := loaded(t, "service: {port: 1}\nregions: {here: {}}\nbucketstore: {cluster: a}\noptions: {buckets: [x1y]}")
	now := loaded(t, "service: {port: 2}\nregions: {here: {storage-classes: {standard: {max-chunk: 1M}}}}\nbucketstore: {cluster: b}\nlogging: {level: warn, json: true}\noptions: {buckets: [x1y]}")
	got := strings.Join(needRestart(&old, &now), " ")
	if got != "service.port logging.json bucketstore regions" {
		t.Errorf("got %q", got)
	}
	same := old
	if names := needRestart(&old, &same); len(names) > 0 {
		t.Errorf("nothing changed, but %v", names)
	}
}
