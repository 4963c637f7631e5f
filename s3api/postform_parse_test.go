package s3api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pithos/pithos/store"
)

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func crc32Of(s string) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(s))))
}

func removeObject(t *testing.T, a *API, bucket, key string) {
	t.Helper()
	b, err := a.store.Bucket(t.Context(), bucket)
	if err == nil {
		_, err = a.store.Delete(t.Context(), b, key, store.DeleteInput{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// crlf writes a form by hand; its boundary is B.
func crlf(lines ...string) string { return strings.Join(lines, "\r\n") }

const formOfB = "multipart/form-data; boundary=B"

func TestFormStreamsItsFile(t *testing.T) {
	key := crlf("--B", `Content-Disposition: form-data; name="KEY"`, "", "a")
	for name, c := range map[string]struct{ body, file, filename string }{
		"as browsers send it": {crlf(key, "--B", `Content-Disposition: form-data; name="file"; filename="x y.txt"`, "Content-Type: text/plain", "", "data", "--B--", ""), "data", "x y.txt"},
		"every part has a filename": {crlf("--B", `Content-Disposition: form-data; name="key"; filename="key"`, "", "a",
			"--B", `Content-Disposition: form-data; name="file"; filename="file"`, "", "data", "--B--", ""), "data", "file"},
		"no file name":                        {crlf(key, "--B", `Content-Disposition: form-data; name=file`, "", "data", "--B--"), "data", ""},
		"empty file":                          {crlf(key, "--B", `Content-Disposition: form-data; name="file"`, "", "", "--B--", ""), "", ""},
		"preamble and epilogue":               {crlf("hello", key, "--B", `Content-Disposition: form-data; name="file"`, "", "data", "--B--", "bye"), "data", ""},
		"almost boundaries in the file":       {crlf(key, "--B", `Content-Disposition: form-data; name="file"`, "", "--", "--A", "\r--Bx", "-", "--B--", ""), "--\r\n--A\r\n\r--Bx\r\n-", ""},
		"UTF-8 in the file's name":            {crlf(key, "--B", `Content-Disposition: form-data; name="file"; filename="grüße.txt"`, "", "data", "--B--", ""), "data", "grüße.txt"},
		"RFC 5987 in the file's name":         {crlf(key, "--B", `Content-Disposition: form-data; name="file"; filename*=utf-8''gr%C3%BC.txt`, "", "data", "--B--", ""), "data", "grü.txt"},
		"path in the file's name":             {crlf(key, "--B", `Content-Disposition: form-data; name="file"; filename="/etc/../passwd"`, "", "data", "--B--", ""), "data", "passwd"},
		"fields behind":                       {crlf(key, "--B", `Content-Disposition: form-data; name="file"`, "", "data", key, "--B--", ""), "data", ""},
		"transfer encoding that changes none": {crlf(key, "--B", `Content-Disposition: form-data; name="file"`, "Content-Transfer-Encoding: binary", "", "data", "--B--", ""), "data", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []io.Reader{strings.NewReader(c.body), iotest.OneByteReader(strings.NewReader(c.body)), iotest.DataErrReader(strings.NewReader(c.body))} {
				f, err := readForm(body, formOfB)
				if err != nil {
					t.Fatal(err)
				}
				if f.fields["key"] != "a" || f.filename != c.filename {
					t.Fatalf("key %q, file name %q, want a and %q", f.fields["key"], f.filename, c.filename)
				}
				data, err := io.ReadAll(iotest.OneByteReader(f))
				if err != nil || string(data) != c.file {
					t.Fatalf("file %q (%v), want %q", data, err, c.file)
				}
			}
		})
	}
}

func TestFormRefusesMalformedBodies(t *testing.T) {
	file := crlf("--B", `Content-Disposition: form-data; name="file"`, "", "data")
	for name, c := range map[string]struct{ body, code string }{
		"empty":                           {"", "MalformedPOSTRequest"},
		"no boundary":                     {"key=a&file=b", "MalformedPOSTRequest"},
		"no part":                         {"--B--\r\n", "IncorrectNumberOfFilesInPostRequest"},
		"cut in a header":                 {crlf("--B", "Content-Dispo"), "MalformedPOSTRequest"},
		"cut in a field":                  {crlf("--B", `Content-Disposition: form-data; name="key"`, "", "a"), "MalformedPOSTRequest"},
		"cut in the file":                 {file, "MalformedPOSTRequest"},
		"cut in the last boundary":        {file + "\r\n--B-", "MalformedPOSTRequest"},
		"part without disposition":        {crlf("--B", "Content-Type: text/plain", "", "a", "--B--", ""), "MalformedPOSTRequest"},
		"part without name":               {crlf("--B", "Content-Disposition: form-data", "", "a", "--B--", ""), "MalformedPOSTRequest"},
		"part that is an attachment":      {crlf("--B", `Content-Disposition: attachment; name="key"`, "", "a", "--B--", ""), "MalformedPOSTRequest"},
		"part in base64":                  {crlf("--B", `Content-Disposition: form-data; name="file"`, "Content-Transfer-Encoding: base64", "", "YQ==", "--B--", ""), "MalformedPOSTRequest"},
		"part without header":             {crlf("--B", "", "a", "--B--", ""), "MalformedPOSTRequest"},
		"line that is no header":          {crlf("--B", "what", "", "a", "--B--", ""), "MalformedPOSTRequest"},
		"endless header":                  {crlf("--B", `Content-Disposition: form-data; name="`+strings.Repeat("n", 1<<20)), "MaxPostPreDataLengthExceededError"},
		"endless field":                   {crlf("--B", `Content-Disposition: form-data; name="key"`, "", strings.Repeat("n", 1<<20)), "MaxPostPreDataLengthExceededError"},
		"endless fields":                  {strings.Repeat(crlf("--B", `Content-Disposition: form-data; name="x-ignore-a"`, "", "1", ""), 1<<12), "MaxPostPreDataLengthExceededError"},
		"endless line in front":           {strings.Repeat("n", 1<<20), "MalformedPOSTRequest"},
		"endless lines in front":          {strings.Repeat("n\r\n", 1<<20), "MaxPostPreDataLengthExceededError"},
		"endless bytes behind":            {file + "\r\n--B--\r\n" + strings.Repeat("n", 1<<20), "MalformedPOSTRequest"},
		"endless field behind":            {crlf(file, "--B", `Content-Disposition: form-data; name="a"`, "", strings.Repeat("n", 1<<20)), "MalformedPOSTRequest"},
		"second file":                     {crlf(file, file, "--B--", ""), "IncorrectNumberOfFilesInPostRequest"},
		"part behind without disposition": {crlf(file, "--B", "A: b", "", "--B--", ""), "MalformedPOSTRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []io.Reader{strings.NewReader(c.body), iotest.OneByteReader(strings.NewReader(c.body))} {
				f, err := readForm(body, formOfB)
				if err == nil {
					_, err = io.Copy(io.Discard, f)
				}
				if err == nil || string(toError(err).Code) != c.code {
					t.Fatalf("got %v, want %s", err, c.code)
				}
				if f == nil {
					continue
				}
				if _, again := f.Read(make([]byte, 1)); again != err { //nolint:errorlint // the very same
					t.Fatalf("the error is not sticky: %v, then %v", err, again)
				}
			}
		})
	}
}

func TestFormPassesTheBodysErrorsOn(t *testing.T) {
	whole := crlf("--B", `Content-Disposition: form-data; name="key"`, "", "a", "--B", `Content-Disposition: form-data; name="file"`, "", "data", "--B--", "")
	for cut := range len(whole) + 1 {
		f, err := readForm(io.MultiReader(strings.NewReader(whole[:cut]), iotest.ErrReader(io.ErrClosedPipe)), formOfB)
		if err == nil {
			_, err = io.Copy(io.Discard, f)
		}
		if err != io.ErrClosedPipe { //nolint:errorlint // the very same
			t.Fatalf("cut at %d: %v, want the body's own error", cut, err)
		}
	}
}

func TestFormTakesBoundedMemory(t *testing.T) {
	head := crlf("--B", `Content-Disposition: form-data; name="key"`, "", "a", "--B", `Content-Disposition: form-data; name="file"`, "", "")
	const size = 64 << 20
	body := io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader("\r\n--B--\r\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := readForm(body, formOfB)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 64<<10))
	runtime.ReadMemStats(&after)
	if err != nil || n != size {
		t.Fatalf("%d bytes, %v, want %d", n, err, size)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Fatalf("%d bytes were allocated on the way", used)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzForm(f *testing.F) {
	f.Add([]byte(crlf("--B", `Content-Disposition: form-data; name="key"`, "", "${filename}", "--B", `Content-Disposition: form-data; name="file"; filename="a"`, "", "data", "--B--", "")))
	f.Add([]byte("--B\nContent-Disposition: form-data; name=file\n\ndata\n--B--"))
	f.Add([]byte(crlf("--B", "", "--B--")))
	f.Fuzz(func(t *testing.T, body []byte) {
		whole, fields, err := parseAll(bytes.NewReader(body))
		slow, slowFields, slowErr := parseAll(iotest.OneByteReader(bytes.NewReader(body)))
		if (err == nil) != (slowErr == nil) || err != nil && toError(err).Code != toError(slowErr).Code {
			t.Fatalf("at once %v, by single bytes %v", err, slowErr)
		}
		if err != nil {
			if e := toError(err); statusOf(e) >= 500 {
				t.Fatalf("%v is not the client's error", err)
			}
			return
		}
		if whole != slow || fields != slowFields {
			t.Fatalf("at once %q %s, by single bytes %q %s", whole, fields, slow, slowFields)
		}
		if !bytes.Contains(body, []byte(whole)) {
			t.Fatalf("the file %q is not in the body", whole)
		}
	})
}

// parseAll returns file and fields of a form.
func parseAll(body io.Reader) (file, fields string, err error) {
	f, err := readForm(body, formOfB)
	if err != nil {
		return "", "", err
	}
	data, err := io.ReadAll(f)
	for _, name := range f.fieldNames() {
		fields += name + "=" + f.fields[name] + ";"
	}
	if len(fields) > 2*maxFormFields {
		panic("more fields than are allowed")
	}
	return string(data), fields, err
}
