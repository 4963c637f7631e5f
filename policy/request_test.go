package policy

import "time"

// Request is a request of one access, for tests.
type Request struct {
	Principal Principal
	Action    string
	Bucket    BucketFacts
	Key       string
	Object    func() (*ObjectFacts, error)
	Context   Context // of keys that are Own and of others
	Time      time.Time
}

func (r Request) evaluator() *Evaluator {
	return NewEvaluator(r.Principal, r.Bucket, r.Context, r.Time)
}

func Evaluate(r Request) (Decision, error) {
	return r.evaluator().Decide(Access{Action: r.Action, Key: r.Key, Object: r.Object, Context: r.Context})
}

func MayList(r Request) (Decision, error) { return r.evaluator().MayList(r.Key) }

func Possible(r Request, actions ...string) bool { return r.evaluator().Possible(actions...) }
