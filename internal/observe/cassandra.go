package observe

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gocql/gocql"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/metrics"
)

var _ cassandra.Observer = (*Observer)(nil)

// ObserveQuery implements [gocql.QueryObserver].
func (o *Observer) ObserveQuery(ctx context.Context, q gocql.ObservedQuery) {
	kind, table := kindOf(q.Statement)
	o.statement(ctx, kind, table, q.Keyspace, q.Host, q.Start, q.End, q.Err, attribute.Int("db.response.returned_rows", q.Rows))
}

// ObserveBatch implements [gocql.BatchObserver]. A batch writes to one partition,
// so the table of its first statement is that of all.
func (o *Observer) ObserveBatch(ctx context.Context, b gocql.ObservedBatch) {
	kind, table := "batch", ""
	for i, statement := range b.Statements {
		k, t := kindOf(statement)
		if i == 0 {
			table = t
		}
		if k == "cas" {
			kind = "cas"
		}
	}
	o.statement(ctx, kind, table, b.Keyspace, b.Host, b.Start, b.End, b.Err, attribute.Int("db.operation.batch.size", len(b.Statements)))
}

// ObserveConnect implements [gocql.ConnectObserver].
func (o *Observer) ObserveConnect(c gocql.ObservedConnect) { o.metrics.Connect(c.Err) }

// Nodes adds the metrics of the nodes of a session.
func (o *Observer) Nodes(read func() []cassandra.NodeState) (remove func()) {
	return o.metrics.Nodes(func() []metrics.Node {
		var nodes []metrics.Node
		for _, n := range read() {
			nodes = append(nodes, metrics.Node(n))
		}
		return nodes
	})
}

func (o *Observer) statement(ctx context.Context, kind, table, keyspace string, host *gocql.HostInfo, start, end time.Time, err error, more attribute.KeyValue) {
	failed := statementFailure(err)
	o.metrics.Statement(kind, table, end.Sub(start), failed)
	_, span := child(ctx, kind+" "+table, trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindClient))
	if span == nil {
		return
	}
	span.SetAttributes(attribute.String("db.system.name", "cassandra"), attribute.String("db.operation.name", kind),
		attribute.String("db.collection.name", table), attribute.String("db.namespace", keyspace), more)
	if host != nil {
		span.SetAttributes(attribute.String("server.address", host.ConnectAddress().String()))
	}
	finish(span, failed, trace.WithTimestamp(end))
}

// statementFailure is the kind of a statement's failure; "" for none.
func statementFailure(err error) string {
	var (
		request gocql.RequestError
		network net.Error
	)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, gocql.ErrTimeoutNoResponse):
		return failureTimeout
	case errors.Is(err, gocql.ErrConnectionClosed), errors.Is(err, gocql.ErrNoConnections):
		return "connection"
	case errors.As(err, &request):
		return requestFailure(request.Code())
	case errors.As(err, &network):
		return "connection"
	}
	return failureOther
}

// requestFailure names the codes of the native protocol, section 9, that tell
// of a cluster in trouble.
func requestFailure(code int) string {
	switch code {
	case gocql.ErrCodeUnavailable:
		return failureUnavailable
	case gocql.ErrCodeOverloaded:
		return "overloaded"
	case gocql.ErrCodeReadTimeout, gocql.ErrCodeWriteTimeout, gocql.ErrCodeCASWriteUnknown:
		return failureTimeout
	case gocql.ErrCodeReadFailure, gocql.ErrCodeWriteFailure:
		return "replica"
	}
	return failureOther
}

type statementKind struct{ kind, table string }

// kinds caches the results of kindOf: the project has few statements.
var kinds sync.Map // string → statementKind

var (
	verb   = regexp.MustCompile(`(?i)^\s*(select|insert|update|delete)\b`)
	target = regexp.MustCompile(`(?i)\b(?:from|into|update)\s+(?:"?[a-z0-9_]+"?\s*\.\s*)?"?([a-z0-9_]+)"?`)
	onlyIf = regexp.MustCompile(`(?i)\bif\s`)
)

// maxKinds bounds the cache, in case statements are generated.
const maxKinds = 1000

var countKinds struct {
	sync.Mutex
	n int
}

// kindOf returns the kind of a statement (select, insert, update, delete; cas if
// it is conditional; other) and its table.
func kindOf(statement string) (kind, table string) {
	if k, ok := kinds.Load(statement); ok {
		known := k.(statementKind)
		return known.kind, known.table
	}
	k := parseKind(statement)
	countKinds.Lock()
	defer countKinds.Unlock()
	if countKinds.n < maxKinds {
		countKinds.n++
		kinds.Store(statement, k)
	}
	return k.kind, k.table
}

func parseKind(statement string) statementKind {
	found := verb.FindStringSubmatch(statement)
	if found == nil {
		return statementKind{kind: "other"}
	}
	k := statementKind{kind: strings.ToLower(found[1])}
	if at := target.FindStringSubmatch(statement); at != nil {
		k.table = strings.ToLower(at[1])
	}
	if k.kind != "select" && onlyIf.MatchString(statement) {
		k.kind = "cas"
	}
	return k
}
