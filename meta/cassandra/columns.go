package cassandra

import (
	"encoding/binary"
	"fmt"

	"github.com/gocql/gocql"
)

// Columns that decode themselves, without reflection. A null is the zero value.
type (
	rawColumn     []byte // a slice of the driver's frame, which is not reused
	textColumn    string
	bigintColumn  int64
	tinyintColumn int8
)

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *rawColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*c = data
	return nil
}

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *textColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*c = textColumn(data)
	return nil
}

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *bigintColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	switch len(data) {
	case 0:
		*c = 0
	case 8:
		*c = bigintColumn(binary.BigEndian.Uint64(data))
	default:
		return fmt.Errorf("a bigint of %d bytes", len(data))
	}
	return nil
}

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *tinyintColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	switch len(data) {
	case 0:
		*c = 0
	case 1:
		*c = tinyintColumn(data[0])
	default:
		return fmt.Errorf("a tinyint of %d bytes", len(data))
	}
	return nil
}
