package s3api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
)

const (
	// maxFormFields is the maximum size, in bytes, of names and values of the
	// fields before the file. (POST Object in the S3 API reference: 20 KB.)
	maxFormFields = 20 << 10
	// maxFormOverhead is the maximum size, in bytes, of the body before the file,
	// and again after it: fields, their headers and boundaries.
	maxFormOverhead = 64 << 10
	// maxFormName is the maximum size, in bytes, of a file's name, which becomes
	// part of the key and of other fields.
	maxFormName = 1024
	// maxBoundary is the limit of RFC 2046, section 5.1.1.
	maxBoundary    = 70
	formReadBuffer = 32 << 10
)

// form is a multipart/form-data body, RFC 7578, as POST Object has it: fields, then
// the file, which Read streams. The constants above bound its memory.
type form struct {
	// fields are by name in lower case: S3 ignores the case of field names.
	fields map[string]string
	// filename is the name of the file without its path; "" if it has none.
	filename string

	names  []string // of fields, as they came
	used   int      // bytes of fields
	source *formSource
	parts  *multipart.Reader
	file   *multipart.Part
	err    error // what Read ended with
}

// readForm reads a form up to the first byte of its file. PreconditionFailed
// (not a form), MalformedPOSTRequest, MaxPostPreDataLengthExceededError,
// IncorrectNumberOfFilesInPostRequest, InvalidArgument (a field twice), and
// the errors of body.
func readForm(body io.Reader, contentType string) (*form, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if kind != "multipart/form-data" {
		return nil, fail(s3err.PreconditionFailed).With("Condition", "Bucket POST must be of the enclosure-type multipart/form-data")
	}
	boundary := params["boundary"]
	if err != nil || boundary == "" || len(boundary) > maxBoundary {
		return nil, malformedForm("Content-Type must name a boundary of 1 to %d bytes", maxBoundary)
	}
	f := &form{fields: map[string]string{}, source: &formSource{body: bufio.NewReaderSize(body, formReadBuffer)}}
	f.source.limit(fail(s3err.MaxPostPreDataLengthExceededError).With("MaxPostPreDataLengthBytes", itoa(maxFormFields)))
	f.parts = multipart.NewReader(f.source, boundary)
	for f.file == nil {
		if err := f.next(); err != nil {
			return nil, err
		}
	}
	f.source.limited = false
	return f, f.insertFilename()
}

// next reads one part: a field, or the file's header.
func (f *form) next() error {
	part, err := f.parts.NextRawPart()
	if err == io.EOF { //nolint:errorlint // a wrapped io.EOF is a body cut short
		return fail(s3err.IncorrectNumberOfFilesInPostRequest)
	}
	if err != nil {
		return f.source.explain(err)
	}
	name, filename, err := disposition(part)
	if err != nil {
		return err
	}
	if name == "file" {
		f.file, f.filename = part, filename
		return nil
	}
	if f.used += len(name); f.used > maxFormFields {
		return f.source.tooLong
	}
	value, err := io.ReadAll(io.LimitReader(part, int64(maxFormFields-f.used)+1))
	if err != nil {
		return f.source.explain(err)
	}
	if f.used += len(value); f.used > maxFormFields {
		return f.source.tooLong
	}
	return f.add(name, string(value))
}

func (f *form) add(name, value string) error {
	ignored := strings.HasPrefix(name, "x-ignore-")
	if f.has(name) && !ignored {
		return badArgument(name, "", "The form has the field %.80s more than once.", name)
	}
	f.fields[name] = value
	if !ignored {
		f.names = append(f.names, name)
	}
	return nil
}

// has reports whether the form has the field, also without a value.
func (f *form) has(name string) bool { _, ok := f.fields[name]; return ok }

// disposition reads the name of a part, in lower case, and the name of its file
// without any path. A part with a transfer encoding is refused: RFC 7578,
// section 4.7, does not allow one.
func disposition(part *multipart.Part) (name, filename string, err error) {
	kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || kind != "form-data" {
		return "", "", malformedForm("a part has no Content-Disposition of form-data with a name")
	}
	switch encoding := strings.ToLower(part.Header.Get("Content-Transfer-Encoding")); encoding {
	case "", "binary", "8bit", "7bit":
	default:
		return "", "", malformedForm("a part has the Content-Transfer-Encoding %.40q", encoding)
	}
	if name = strings.ToLower(params["name"]); name == "" {
		return "", "", malformedForm("a part has no name")
	}
	filename = params["filename"]
	if i := strings.LastIndexAny(filename, `/\`); i >= 0 {
		filename = filename[i+1:]
	}
	return name, filename, nil
}

// verbatim are the fields in which ${filename} is not replaced.
var verbatim = map[string]bool{
	"policy": true, "signature": true, "awsaccesskeyid": true, "x-amz-algorithm": true, "x-amz-credential": true,
	"x-amz-date": true, "x-amz-signature": true, "x-amz-security-token": true,
}

// insertFilename replaces ${filename} by the file's name in all fields.
func (f *form) insertFilename() error {
	const variable = "${filename}"
	for name, value := range f.fields {
		n := strings.Count(value, variable)
		if n == 0 || verbatim[name] {
			continue
		}
		if len(f.filename) > maxFormName {
			return fail(s3err.KeyTooLongError).With("Size", itoa(len(f.filename))).With("MaxSizeAllowed", itoa(maxFormName))
		}
		if f.used += n * (len(f.filename) - len(variable)); f.used > maxFormFields {
			return f.source.tooLong
		}
		f.fields[name] = strings.ReplaceAll(value, variable, f.filename)
	}
	return nil
}

// Read returns the file's bytes. It returns io.EOF only once the whole body
// was read and was well-formed; its error is sticky.
func (f *form) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.file.Read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // as io.Reader has it
		f.err = f.finish()
	case err != nil:
		f.err = f.source.explain(err)
	}
	return n, f.err
}

// finish reads the parts after the file, usually none, and so the body to its end,
// where its hash is compared. Fields there are ignored, as S3 documents; a second
// file is refused.
func (f *form) finish() error {
	f.source.limit(malformedForm("more than %d bytes follow the file", maxFormOverhead))
	for {
		part, err := f.parts.NextRawPart()
		if err == io.EOF { //nolint:errorlint // a wrapped io.EOF is a body cut short
			break
		}
		if err != nil {
			return f.source.explain(err)
		}
		name, _, err := disposition(part)
		if err != nil {
			return err
		}
		if name == "file" {
			return fail(s3err.IncorrectNumberOfFilesInPostRequest)
		}
	}
	if _, err := io.Copy(io.Discard, f.source); err != nil {
		return err
	}
	return io.EOF
}

// fieldNames returns the names of all fields except x-ignore-*, sorted.
func (f *form) fieldNames() []string { return slices.Sorted(slices.Values(f.names)) }

func malformedForm(format string, args ...any) *s3err.Error {
	return fail(s3err.MalformedPOSTRequest).WithHint(format, args...)
}

// formSource is the body below a multipart.Reader. While limited, it fails with
// tooLong after left bytes. It keeps the error with which the body ended.
type formSource struct {
	body    io.Reader
	limited bool
	left    int
	tooLong error
	err     error
}

// limit allows maxFormOverhead bytes more.
func (s *formSource) limit(tooLong error) {
	s.limited, s.left, s.tooLong = true, maxFormOverhead, tooLong
}

// Read implements io.Reader.
func (s *formSource) Read(p []byte) (int, error) {
	if s.limited {
		if s.left == 0 {
			s.err = s.tooLong
			return 0, s.err
		}
		p = p[:min(len(p), s.left)]
	}
	n, err := s.body.Read(p)
	if s.limited {
		s.left -= n
	}
	if err != nil {
		s.err = err
	}
	return n, err
}

// explain returns the error of the body if that is why reading a part failed, and
// otherwise the error of a malformed form.
func (s *formSource) explain(err error) error {
	switch {
	case s.err != nil && !errors.Is(s.err, io.EOF):
		return s.err
	case s.err != nil:
		return malformedForm("the body ends before the closing boundary")
	}
	return malformedForm("%s", fmt.Sprintf("%.200v", err))
}
