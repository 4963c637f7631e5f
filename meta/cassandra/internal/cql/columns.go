package cql

import (
	"encoding/binary"
	"fmt"

	"github.com/gocql/gocql"
)

// Columns that decode themselves, without reflection. A null is the zero value.
type (
	RawColumn     []byte // a slice of the driver's frame, which is not reused
	TextColumn    string
	BigintColumn  int64
	TinyintColumn int8
)

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *RawColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*c = data
	return nil
}

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *TextColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*c = TextColumn(data)
	return nil
}

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *BigintColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	switch len(data) {
	case 0:
		*c = 0
	case 8:
		*c = BigintColumn(binary.BigEndian.Uint64(data))
	default:
		return fmt.Errorf("a bigint of %d bytes", len(data))
	}
	return nil
}

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *TinyintColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	switch len(data) {
	case 0:
		*c = 0
	case 1:
		*c = TinyintColumn(data[0])
	default:
		return fmt.Errorf("a tinyint of %d bytes", len(data))
	}
	return nil
}
