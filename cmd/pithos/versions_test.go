package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/internal/cassandratest"
)

// TestGatewaysOfTwoVersionsServeOneCassandra is an upgrade as operations.md has
// it: the schema first, under gateways of the version before that go on; then
// one gateway after the other. What either acknowledges, the other shows.
func TestGatewaysOfTwoVersionsServeOneCassandra(t *testing.T) {
	previous := previousBinary(t)
	c := cassandratest.Start(t)
	yaml := "bucketstore: {keyspace: " + c.Keyspace(t) + "}\n"
	env := append([]string{"PITHOS_CASSANDRA_HOST=" + strings.Join(c.Addrs(), ","), "PITHOS_MASTER_KEY=" + testMasterKey}, rootEnv...)
	ran(t, previous, yaml, env, "bootstrap")
	old := startBinary(t, previous, yaml, env...)
	seed(t, old.client("demo", "demo-secret"))
	want := answers(t, old.client("demo", "demo-secret"))

	bootstrapped(t, yaml, env)
	if got := answers(t, old.client("demo", "demo-secret")); got != want {
		t.Errorf("after the bootstrap the version before answers\n%s\nand before it\n%s", got, want)
	}
	now := startReady(t, yaml, env...)
	if got := answers(t, now.client("demo", "demo-secret")); got != want {
		t.Errorf("the new version answers\n%s\nthe one before\n%s", got, want)
	}
	clients := []*s3.Client{old.client("demo", "demo-secret"), now.client("demo", "demo-secret")}
	mixedTraffic(t, clients)
	goOn(t, clients[1])
	if got, want := answers(t, clients[0]), answers(t, clients[1]); got != want {
		t.Errorf("in the end the version before answers\n%s\nthe new one\n%s", got, want)
	}
	for _, p := range []*process{old, now} {
		if code := p.stop(t); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
	checked(t, yaml, env)
	// Going back ends here: once stopped, the version before does not start.
	code, out := tried(t, previous, yaml, env, "serve")
	if code != exitSchema || !strings.Contains(out, "newer") {
		t.Errorf("the version before starts on a newer schema: exit code %d\n%s", code, out)
	}
}

// mixedTraffic has writers put, replace, delete and list through gateways in
// turn; each looks at the other gateway for what was acknowledged by the one.
func mixedTraffic(t *testing.T, clients []*s3.Client) {
	t.Helper()
	const writers, rounds = 4, 12
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range rounds {
				turn(t, clients[(w+i)%2], clients[(w+i+1)%2], fmt.Sprintf("mixed/%d/", w), i)
			}
		})
	}
	running.Wait()
	oneWinner(t, clients)
}

// turn writes through one gateway, and looks through the other.
func turn(t *testing.T, writes, looks *s3.Client, prefix string, i int) {
	key := fmt.Sprintf("%s%d", prefix, i/2) // each is written twice
	body := strings.Repeat(fmt.Sprint(i), 1+i%3*300_000)
	if err := put(t, writes, key, []byte(body)); err != nil {
		t.Errorf("%s: %v", key, err)
		return
	}
	if got, err := fetch(t, looks, key); err != nil || string(got) != body {
		t.Errorf("%s: the other gateway has %d bytes of %d, %v", key, len(got), len(body), err)
	}
	page, err := looks.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: demo, Prefix: &prefix})
	if err != nil || len(page.Contents) != i/2+1-i/4 {
		t.Errorf("%s: the other gateway lists %d, %v", key, len(page.Contents), err)
	}
	if i%4 != 3 {
		return
	}
	if _, err := writes.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: demo, Key: &key}); err != nil {
		t.Errorf("%s: %v", key, err)
	}
	if _, err := fetch(t, looks, key); err == nil {
		t.Errorf("%s: the other gateway shows what was deleted", key)
	}
}

// oneWinner races If-None-Match through both gateways.
func oneWinner(t *testing.T, clients []*s3.Client) {
	t.Helper()
	for round := range 5 {
		var mu sync.Mutex
		var running sync.WaitGroup
		won := 0
		for i := range 6 {
			running.Go(func() {
				_, err := clients[i%2].PutObject(t.Context(), &s3.PutObjectInput{
					Bucket: demo, Key: aws.String(fmt.Sprint("race", round)), Body: strings.NewReader(fmt.Sprint(i)), IfNoneMatch: aws.String("*")})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !strings.Contains(err.Error(), "PreconditionFailed") && !strings.Contains(err.Error(), "ConditionalRequestConflict") {
					t.Error(err)
				}
			})
		}
		running.Wait()
		if won != 1 {
			t.Errorf("%d of them made the object", won)
		}
	}
}
