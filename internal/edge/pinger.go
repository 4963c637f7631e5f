package edge

import (
	"context"
	"time"
)

// pingLasts is how long the result of a ping is used for later calls.
const pingLasts = time.Second

// pinger asks the engine whether it answers, once per pingLasts for all callers:
// /-/ready needs no signature, and must not cost the engine more than that,
// however often it is called.
type pinger struct {
	idle chan struct{} // holds a token while no ping is running
	at   time.Time     // when the last ping ended
	err  error         // its result
}

func newPinger() *pinger {
	p := &pinger{idle: make(chan struct{}, 1)}
	p.idle <- struct{}{}
	return p
}

func (p *pinger) do(ctx context.Context, ping func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	select {
	case <-p.idle:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.idle <- struct{}{} }()
	if p.at.IsZero() || time.Since(p.at) > pingLasts {
		// The caller may leave; other callers wait for the result.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		p.err = ping(asking)
		p.at = time.Now()
	}
	return p.err
}
