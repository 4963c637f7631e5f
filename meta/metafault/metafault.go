// Package metafault wraps a [meta.Store] so that tests can make it fail: before a
// call is applied, after it, slowly, or as if the calling process had crashed.
//
//	s := metafault.Wrap(store, 1, metafault.Rule{Op: meta.OpCommit, Fault: metafault.After, Count: 1})
//
// has the first commit made, and fail with an unknown outcome. Without rules the
// wrapper changes nothing.
package metafault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pithos/pithos/internal/pause"
	"github.com/pithos/pithos/meta"
)

var errInjected = errors.New("injected")

// Fault is how a call fails.
type Fault int

// The faults. The two crashes are those of the calling process: that call and all
// later ones through the wrapper fail with [meta.ErrUnavailable], until Revive. So
// a change that was begun stays begun.
const (
	// None: the call does not fail. A Rule may still delay it.
	None Fault = iota
	// Before: the call fails without being made; [meta.ErrUnavailable].
	Before
	// After: the call is made, and then fails; [meta.ErrUnknownOutcome].
	After
	// CrashBefore: the caller crashes before the call is made.
	CrashBefore
	// CrashAfter: the caller crashes after the call was made.
	CrashAfter
)

// Rule says which calls fail and how. Of several rules that match a call, the
// first one that fires is applied.
type Rule struct {
	// Op is the call; "" is any.
	Op meta.Op
	// Skip is how many matching calls pass before the rule fires.
	Skip int
	// Count is how often the rule fires; 0 is without end.
	Count int
	// Chance is the probability of firing; 0 is always.
	Chance float64
	// Delay is the time to wait before the call, or until its context ends.
	Delay time.Duration
	// Do, if not nil, is called before the call.
	Do    func(ctx context.Context)
	Fault Fault
	// Err replaces the error of Before and After.
	Err error
}

// Store is a [meta.Store] that fails by rules.
type Store struct {
	meta.Store

	mu    sync.Mutex
	rng   *rand.Rand
	rules []*Rule
	calls map[meta.Op]int
	fired int
	dead  bool
}

// Wrap returns store failing by rules. The same seed makes the same choices
// for the same sequence of calls.
func Wrap(store meta.Store, seed uint64, rules ...Rule) *Store {
	s := &Store{rng: rand.New(rand.NewPCG(seed, 0)), calls: map[meta.Op]int{}}
	s.Store = meta.Intercept(store, s.around)
	s.SetRules(rules...)
	return s
}

// SetRules replaces the rules; without rules, no call fails.
func (s *Store) SetRules(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
	for _, r := range rules {
		s.rules = append(s.rules, &r)
	}
}

// Revive ends a crash.
func (s *Store) Revive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = false
}

// Dead reports whether a crash has happened and was not ended by Revive.
func (s *Store) Dead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// Calls returns how often each call was made, failed or not.
func (s *Store) Calls() map[meta.Op]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Fired returns how many faults there were.
func (s *Store) Fired() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fired
}

// choose counts the call and returns the rule that it matches.
func (s *Store) choose(op meta.Op) (Rule, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return Rule{}, fmt.Errorf("%w: %s after a crash: %w", errInjected, op, meta.ErrUnavailable)
	}
	s.calls[op]++
	for _, r := range s.rules {
		if s.fires(r, op) {
			return *r, nil
		}
	}
	return Rule{}, nil
}

func (s *Store) fires(r *Rule, op meta.Op) bool {
	if r.Op != "" && r.Op != op || r.Count < 0 {
		return false
	}
	if r.Skip > 0 {
		r.Skip--
		return false
	}
	if r.Chance > 0 && s.rng.Float64() >= r.Chance {
		return false
	}
	if r.Count > 0 {
		if r.Count--; r.Count == 0 {
			r.Count = -1 // spent
		}
	}
	if r.Fault != None {
		s.fired++
	}
	return true
}

func (s *Store) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
}

// around makes a call by the rules.
func (s *Store) around(ctx context.Context, op meta.Op, call func(context.Context) error) error {
	r, err := s.choose(op)
	if err != nil {
		return err
	}
	if err := r.delay(ctx); err != nil {
		return fmt.Errorf("%w: delay of %s: %w", errInjected, op, err)
	}
	if r.Do != nil {
		r.Do(ctx)
	}
	switch r.Fault {
	case Before:
		return r.failure(op, "before", meta.ErrUnavailable)
	case CrashBefore:
		s.die()
		return fmt.Errorf("%w: crash before %s: %w", errInjected, op, meta.ErrUnavailable)
	}
	err = call(ctx)
	switch r.Fault {
	case After:
		return r.failure(op, "after", meta.ErrUnknownOutcome)
	case CrashAfter:
		s.die()
		return fmt.Errorf("%w: crash after %s: %w", errInjected, op, meta.ErrUnavailable)
	}
	return err
}

func (r *Rule) failure(op meta.Op, when string, err error) error {
	if r.Err != nil {
		err = r.Err
	}
	return fmt.Errorf("%w: failure %s %s: %w", errInjected, when, op, err)
}

func (r *Rule) delay(ctx context.Context) error {
	if r.Delay <= 0 {
		return nil
	}
	return pause.For(ctx, r.Delay)
}
