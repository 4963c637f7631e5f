//go:build unix

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/internal/cassandratest"
)

const (
	replicated = "replication: {datacenters: {dc1: 2, dc2: 1}}"
	everywhere = "consistency: QUORUM, serial-consistency: SERIAL"
)

// TestGatewaysOfTwoDatacentersAgree has a gateway in each of two datacenters
// write the same bucket: with QUORUM and SERIAL it is as if they were in one.
func TestGatewaysOfTwoDatacentersAgree(t *testing.T) {
	c := newCluster(t, cassandratest.StartDatacenters(t, 2, 1), replicated, everywhere, "datacenter: dc1")
	east := startGateway(t, c.Cluster, c.keyspace, 0, everywhere, "datacenter: dc1")
	west := startGateway(t, c.Cluster, c.keyspace, 0, everywhere, "datacenter: dc2")
	both := []*gatewayProcess{east, west}
	makeBuckets(t, east)
	t.Run("If-None-Match has one winner", func(t *testing.T) { oneWinner(t, both, "race") })
	t.Run("what one has acknowledged the other shows", func(t *testing.T) {
		for i := range 20 {
			here, there := both[i%2], both[1-i%2]
			shownThere(t, newClient(here.url, 10), newClient(there.url, 10), fmt.Sprintf("seen/%02d", i), 1+i)
		}
	})
	t.Run("histories are linearizable", func(t *testing.T) {
		h := linearRun(t, both, 1, &nemesis{idle: true, most: 4 * time.Second})
		c.keptWhole(t, client(h))
	})
	t.Run("the greater datacenter serves alone", func(t *testing.T) {
		c.Nodes[2].Kill()
		shownThere(t, newClient(east.url, 10), newClient(east.url, 10), "alone", 3)
		if status := west.ready(); status != http.StatusServiceUnavailable {
			t.Errorf("without its datacenter /-/ready answers %d", status)
		}
		c.Nodes[2].Restart(t)
		c.WaitUp(t)
		west.awaitReady(t)
		shownThere(t, newClient(west.url, 10), newClient(east.url, 10), "again", 3)
	})
	t.Run("each checks its own copies", func(t *testing.T) {
		for _, dc := range []string{"dc1", "dc2"} {
			file := settings(t, c.Cluster, c.keyspace, freePort(t), everywhere, "datacenter: "+dc)
			// What a node missed while it was down comes with a hint, in a while.
			await(t, dc+": check --deep", func() error {
				out, err := runCheck(t, file, "--deep")
				if err == nil && (!strings.Contains(out, "nothing is wrong") || strings.Contains(out, "could not be read")) {
					err = errors.New("something is wrong")
				}
				if err != nil {
					err = fmt.Errorf("%w\n%s", err, out)
				}
				return err
			})
		}
	})
	t.Run("who asks its own alone is warned", func(t *testing.T) { warned(t, c, both) })
}

// warned starts gateways as they come. Each decides in its own datacenter
// alone, so that two writers of one key both win: how often they do is for the
// log. That they may, each is told when it starts.
func warned(t *testing.T, c *cluster, careful []*gatewayProcess) {
	var local []*gatewayProcess
	for _, dc := range []string{"dc1", "dc2"} {
		local = append(local, startGateway(t, c.Cluster, c.keyspace, 0, "datacenter: "+dc))
	}
	twice := 0
	for n := range 30 {
		if won, _ := race(t, local, fmt.Sprintf("local/%02d", n)); len(won) > 1 {
			twice++
		}
	}
	t.Logf("LOCAL_SERIAL in two datacenters: of 30 races %d have two winners", twice)
	const warning = "gateways in different datacenters overwrite each other's changes"
	for _, g := range append(local, careful...) {
		g.kill() // its log is complete
		told := strings.Contains(g.log.String(), warning)
		if want := slices.Contains(local, g); told != want {
			t.Errorf("warned: %v, want %v", told, want)
		}
	}
}

// oneWinner races for keys that are not there, from all gateways at once.
func oneWinner(t *testing.T, gateways []*gatewayProcess, prefix string) {
	for n := range 30 {
		key := fmt.Sprintf("%s/%02d", prefix, n)
		won, unknown := race(t, gateways, key)
		if len(won) > 1 || len(won)+unknown < 1 {
			t.Errorf("%s has %d winners", key, len(won))
			continue
		}
		if unknown == len(gateways) {
			continue
		}
		shown := fetched(t, newClient(gateways[0].url, 3), key)
		if len(won) == 1 && !bytes.Equal(shown, body(won[0])) {
			t.Errorf("%s shows what the loser has put", key)
		}
		for _, g := range gateways {
			if !bytes.Equal(fetched(t, newClient(g.url, 3), key), shown) {
				t.Errorf("the gateways show two things of %s", key)
			}
		}
	}
}

// race puts another value through each gateway, each on the condition that
// there is none. It returns the values of those that were told that they won,
// and how many were not told.
func race(t *testing.T, gateways []*gatewayProcess, key string) (won []int, unknown int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, g := range gateways {
		client := newClient(g.url, 1)
		all.Go(func() {
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key,
				Body: bytes.NewReader(body(1 + i)), IfNoneMatch: aws.String("*")})
			mu.Lock()
			defer mu.Unlock()
			switch status := statusOf(err); {
			case err == nil:
				won = append(won, 1+i)
			case status == 0 || status >= 500: // on a machine that is busy
				unknown++
			case status != http.StatusPreconditionFailed && status != http.StatusConflict:
				t.Errorf("%s through %s: %v", key, g.url, err)
			}
		})
	}
	all.Wait()
	return won, unknown
}

// shownThere puts through one gateway and expects a GET and a LIST through
// another to show it at once.
func shownThere(t *testing.T, here, there *s3.Client, key string, value int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	_, err := here.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(body(value))})
	if err != nil {
		t.Fatal(err)
	}
	list, err := there.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Contents) != 1 || aws.ToString(list.Contents[0].ETag) != etagOf(body(value)) {
		t.Errorf("the listing shows %d keys of one", len(list.Contents))
	}
	if !bytes.Equal(fetched(t, there, key), body(value)) {
		t.Errorf("%s is not what was put", key)
	}
}

// fetched is the body of an object.
func fetched(t *testing.T, client *s3.Client, key string) []byte {
	t.Helper()
	got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Body.Close() // read to its end
	return data
}
