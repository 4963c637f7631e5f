package cassandra

import (
	"fmt"
	"strings"

	"go.uber.org/zap"
)

// driverLog passes the driver's messages, which have no level, to zap. They are about
// hosts and connections, never about statements or credentials.
type driverLog struct{ log *zap.Logger }

func newDriverLog(log *zap.Logger) driverLog {
	if log == nil {
		log = zap.NewNop()
	}
	return driverLog{log.Named("gocql").WithOptions(zap.AddCallerSkip(2))}
}

func (d driverLog) Print(v ...any)                 { d.write(fmt.Sprint(v...)) }
func (d driverLog) Printf(format string, v ...any) { d.write(fmt.Sprintf(format, v...)) }
func (d driverLog) Println(v ...any)               { d.write(fmt.Sprintln(v...)) }

func (d driverLog) write(msg string) {
	d.log.Warn(strings.TrimPrefix(strings.TrimSpace(msg), "gocql: "))
}
