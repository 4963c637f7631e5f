package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. In the file it is written 131072, 128k, 1M, 5G;
// k, M, G, T count in 1024s, with or without a following B or iB.
type Size int64

// String gives the size in its largest whole unit: 128k, 5G, 1000.
func (s Size) String() string {
	n, unit := int64(s), 0
	for n != 0 && n%1024 == 0 && unit < len(sizeUnits)-1 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + sizeUnits[unit]
}

var sizeUnits = []string{"", "k", "M", "G", "T", "P"}

func parseSize(text string) (Size, error) {
	digits := strings.TrimRight(strings.TrimSpace(text), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.ToLower(strings.TrimSpace(strings.TrimSpace(text)[len(digits):]))
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, errExpected
	}
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	for _, u := range sizeUnits {
		if strings.EqualFold(u, unit) {
			return Size(n), nil
		}
		if n > math.MaxInt64/1024 {
			return 0, errExpected
		}
		n *= 1024
	}
	return 0, errExpected
}

// parseDuration reads Go's notation (1h30m, 15m, 500ms) and days (7d). A bare
// number is refused, since its unit is not clear.
func parseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil || n < 0 || n > 36500 {
			return 0, errExpected
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errExpected
	}
	return d, nil
}

// parseBool reads what YAML 1.1 did, since files of former versions rely on it.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "yes", "on":
		return true, nil
	case "false", "no", "off":
		return false, nil
	}
	return false, errExpected
}

// expected is the mistake of a value that is not of its key's type. The text
// of the value is not kept: it may be a secret.
type expected struct{}

func (expected) Error() string { return "not of the expected type" }

var errExpected error = expected{}

var (
	sizeType     = reflect.TypeFor[Size]()
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
)

// isScalar says whether values of a type are written as one word.
func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	}
	return false
}

// setScalar reads text into v, which isScalar.
func setScalar(v reflect.Value, text string) error {
	switch {
	case v.Type() == sizeType:
		n, err := parseSize(text)
		v.SetInt(int64(n))
		return err
	case v.Type() == durationType:
		d, err := parseDuration(text)
		v.SetInt(int64(d))
		return err
	case v.Kind() == reflect.Bool:
		b, err := parseBool(text)
		v.SetBool(b)
		return err
	case v.Kind() == reflect.Int:
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 0)
		if err != nil {
			return errExpected
		}
		v.SetInt(n)
		return nil
	}
	v.SetString(text)
	return nil
}

// expectation says in words what a value of a type looks like.
func expectation(t reflect.Type) string {
	switch {
	case t == sizeType:
		return "a size such as 512k, 1M or 5G"
	case t == durationType:
		return "a time with its unit, such as 30s, 15m, 24h or 7d"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Slice:
		return "a list"
	}
	return "a section with keys of its own"
}

// checkBounds holds a number against the field's min and max.
func checkBounds(f *field, v reflect.Value) error {
	if f.min == "" || !v.CanInt() {
		return nil
	}
	low, high := reflect.New(v.Type()).Elem(), reflect.New(v.Type()).Elem()
	if setScalar(low, f.min) != nil || setScalar(high, f.max) != nil {
		panic("config: bounds of " + f.name + " are not of its type")
	}
	if v.Int() < low.Int() || v.Int() > high.Int() {
		return fmt.Errorf("must be between %s and %s", f.min, f.max)
	}
	return nil
}

// canonical finds the allowed value that text means.
func canonical(enum []string, text string) (string, bool) {
	for _, e := range enum {
		if strings.EqualFold(e, text) {
			return e, true
		}
	}
	return "", false
}
