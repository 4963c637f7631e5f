package cqltest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// statement is a parsed statement.
type statement struct {
	kind, table string
	schema      tableKeys
	columns     []string // of a SELECT; WRITETIME stands for WRITETIME(writeTimeOf)
	writeTimeOf string
	sets        []set       // of an INSERT (without the key columns) or UPDATE
	where       []condition // for an INSERT, the values of the key columns
	conditions  []condition // IF
	ifExists    bool
	ifNotExists bool
	timestamp   *term
	limit       *term
	descending  bool
}

// term is a bound value (arg >= 0) or a literal.
type term struct {
	arg     int
	literal any
}

func (t *term) of(args []any) any {
	if t.arg < 0 {
		return t.literal
	}
	return normal(args[t.arg])
}

type set struct {
	column string
	term   *term
}

// condition compares columns with terms, as tuples.
type condition struct {
	columns []string
	op      string
	terms   []*term
}

// bind returns the condition with literals.
func (c condition) bind(args []any) condition {
	bound := condition{columns: c.columns, op: c.op}
	for _, t := range c.terms {
		bound.terms = append(bound.terms, &term{-1, t.of(args)})
	}
	return bound
}

// keyOf returns the values of columns, if all are restricted to one value.
func (s *statement) keyOf(columns []string, args []any) ([]any, bool) {
	key := make([]any, 0, len(columns))
	for _, column := range columns {
		i := slices.IndexFunc(s.where, func(c condition) bool { return c.op == "=" && c.columns[0] == column })
		if i < 0 {
			return nil, false
		}
		key = append(key, s.where[i].terms[0].of(args))
	}
	return key, true
}

func (s *statement) partitionKey(args []any) []any {
	key, _ := s.keyOf(s.schema.partition, args)
	return key
}

// clusteringKey returns the key of the row that a statement names, if it names
// one.
func (s *statement) clusteringKey(args []any) (key []any, whole bool) {
	return s.keyOf(s.schema.clustering, args)
}

var tokens = regexp.MustCompile(`'[^']*'|[A-Za-z_@][A-Za-z0-9_@.]*|-?[0-9]+|>=|<=|\S`)

// parse parses a statement once.
func (d *DB) parse(stmt string) *statement {
	s := d.parsed[stmt]
	if s == nil {
		p := parser{text: stmt, tokens: tokens.FindAllString(stmt, -1)}
		s = p.statement()
		d.parsed[stmt] = s
	}
	return s
}

type parser struct {
	text   string
	tokens []string
	args   int
}

func (p *parser) fail(what string) {
	panic(fmt.Sprintf("cqltest: %s before %q in %s", what, strings.Join(p.tokens, " "), p.text))
}

func (p *parser) next() string {
	if len(p.tokens) == 0 {
		p.fail("unexpected end")
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

// take consumes tokens, if they come next.
func (p *parser) take(words ...string) bool {
	if len(p.tokens) < len(words) || !slices.Equal(p.tokens[:len(words)], words) {
		return false
	}
	p.tokens = p.tokens[len(words):]
	return true
}

func (p *parser) want(words ...string) {
	if !p.take(words...) {
		p.fail("expected " + strings.Join(words, " "))
	}
}

func (p *parser) term() *term {
	switch t := p.next(); {
	case t == "?":
		p.args++
		return &term{arg: p.args - 1}
	case t == "null":
		return &term{arg: -1}
	case t == "true", t == "false":
		return &term{-1, t == "true"}
	case strings.HasPrefix(t, "'"):
		return &term{-1, strings.Trim(t, "'")}
	default:
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil {
			p.fail("unknown term " + t)
		}
		return &term{-1, n}
	}
}

// list reads a list in parentheses.
func list[T any](p *parser, item func() T) (items []T) {
	p.want("(")
	for {
		items = append(items, item())
		if p.take(")") {
			return items
		}
		p.want(",")
	}
}

func (p *parser) statement() *statement {
	s := &statement{kind: p.next()}
	table := func() {
		s.table = strings.TrimPrefix(p.next(), "@.")
		var known bool
		if s.schema, known = schemas[s.table]; !known {
			p.fail("unknown table " + s.table)
		}
	}
	switch s.kind {
	case "SELECT":
		for {
			column := p.next()
			if column == "WRITETIME" {
				s.writeTimeOf = list(p, p.next)[0]
			}
			if s.columns = append(s.columns, column); !p.take(",") {
				break
			}
		}
		p.want("FROM")
		table()
	case "INSERT":
		p.want("INTO")
		table()
		columns := list(p, p.next)
		p.want("VALUES")
		for i, t := range list(p, p.term) {
			if column := columns[i]; slices.Contains(s.schema.partition, column) || slices.Contains(s.schema.clustering, column) {
				s.where = append(s.where, condition{[]string{column}, "=", []*term{t}})
			} else {
				s.sets = append(s.sets, set{column, t})
			}
		}
	case "UPDATE":
		table()
		p.using(s)
		p.want("SET")
		for {
			column := p.next()
			p.want("=")
			if s.sets = append(s.sets, set{column, p.term()}); !p.take(",") {
				break
			}
		}
	case "DELETE":
		p.want("FROM")
		table()
	default:
		p.fail("unknown statement " + s.kind)
	}
	p.clauses(s)
	return s
}

func (p *parser) using(s *statement) {
	if p.take("USING", "TTL") {
		p.term() // nothing expires
	}
	if p.take("USING", "TIMESTAMP") {
		s.timestamp = p.term()
	}
}

// clauses parses what follows the table, columns or values.
func (p *parser) clauses(s *statement) {
	p.using(s)
	if p.take("WHERE") {
		s.where = p.conditions()
	}
	if p.take("ORDER", "BY") {
		p.next()
		p.want("DESC")
		s.descending = true
	}
	if p.take("LIMIT") {
		s.limit = p.term()
	}
	switch {
	case p.take("IF", "NOT", "EXISTS"):
		s.ifNotExists = true
	case p.take("IF", "EXISTS"):
		s.ifExists = true
	case p.take("IF"):
		s.conditions = p.conditions()
	}
	if len(p.tokens) > 0 {
		p.fail("unknown clause")
	}
}

func (p *parser) conditions() (all []condition) {
	for {
		var c condition
		if len(p.tokens) > 0 && p.tokens[0] == "(" {
			c.columns = list(p, p.next)
			c.op = p.next()
			c.terms = list(p, p.term)
		} else {
			c.columns = []string{p.next()}
			c.op = p.next()
			c.terms = []*term{p.term()}
		}
		if all = append(all, c); !p.take("AND") {
			return all
		}
	}
}
