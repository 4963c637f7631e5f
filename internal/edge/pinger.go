package edge

import (
	"context"
	"time"
)

// pingLasts is how long the outcome of a ping answers further questions.
const pingLasts = time.Second

// pinger asks the engine whether it answers, once for all who ask within
// pingLasts: /-/ready needs no signature, and must not cost the engine more
// than that, however often it is called.
type pinger struct {
	turn chan struct{} // holds one token while no ping is under way
	at   time.Time     // when the last ping ended
	err  error         // what came of it
}

func newPinger() *pinger {
	p := &pinger{turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

func (p *pinger) do(ctx context.Context, ping func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	select {
	case <-p.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.turn <- struct{}{} }()
	if p.at.IsZero() || time.Since(p.at) > pingLasts {
		// The caller may leave; the others still want to know.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		p.err = ping(asking)
		p.at = time.Now()
	}
	return p.err
}
