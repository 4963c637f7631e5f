package meta

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Rows are stored as CBOR maps with numbered fields. They are compact, and an
// older binary skips a field that it does not know. Strings that are not UTF-8
// are decoded as they were encoded: headers may have any byte, and every
// acknowledged row must stay readable.
var (
	encoding = must(cbor.EncOptions{Time: cbor.TimeUnixMicro}.EncMode())
	decoding = must(cbor.DecOptions{
		MaxArrayElements: 1 << 20,
		MaxMapPairs:      1 << 16,
		UTF8:             cbor.UTF8DecodeInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal encodes a row type of this package for a driver.
func Marshal(row any) ([]byte, error) {
	var b []byte
	var err error
	switch row := row.(type) {
	case *Version:
		b, err = marshalVersion(row)
	case Version:
		b, err = marshalVersion(&row)
	default:
		b, err = encoding.Marshal(row)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", row, err)
	}
	return b, nil
}

// Unmarshal decodes what Marshal wrote.
func Unmarshal(b []byte, row any) error {
	var err error
	switch row := row.(type) {
	case *Entry:
		key := row.Key
		if decodeEntry(b, row) {
			return nil
		}
		*row = Entry{Key: key}
		err = decoding.Unmarshal(b, row)
	case *Version:
		err = unmarshalVersion(b, row)
	default:
		err = decoding.Unmarshal(b, row)
	}
	if err != nil {
		return fmt.Errorf("decode %T: %w", row, err)
	}
	return nil
}
