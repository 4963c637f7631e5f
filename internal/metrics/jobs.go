package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// jobs are the background jobs. Runs, items and errors are those of this
// gateway; the other metrics are the same on all gateways that share a job.
type jobs struct {
	runs     *prometheus.CounterVec
	items    *prometheus.CounterVec
	errors   *prometheus.CounterVec
	last     *prometheus.GaugeVec
	success  *prometheus.GaugeVec
	duration *prometheus.GaugeVec
	backlog  *prometheus.GaugeVec
	lag      *prometheus.GaugeVec
}

func newJobs(r prometheus.Registerer) jobs {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"job"}, labels...)))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"job"}))
	}
	return jobs{
		runs:     counter("pithos_job_runs_total", "Runs of background jobs by this gateway, by result (done, failed).", "result"),
		items:    counter("pithos_job_items_total", "Items that background jobs of this gateway worked on."),
		errors:   counter("pithos_job_errors_total", "Items of background jobs of this gateway that failed."),
		last:     gauge("pithos_job_last_run_timestamp_seconds", "When the last run of a background job began, by any gateway."),
		success:  gauge("pithos_job_last_success_timestamp_seconds", "When the last run of a background job without an error began, by any gateway; of several shards, the one where that is longest ago. 0: never."),
		duration: gauge("pithos_job_last_duration_seconds", "Time of the last run of a background job, by any gateway."),
		backlog:  gauge("pithos_job_backlog", "Items that the last run of a background job has left for later runs."),
		lag:      gauge("pithos_job_lag_seconds", "How long the oldest item had been due at the last run of a background job."),
	}
}

// JobRun is the last run of a shard of a job.
type JobRun struct {
	Started   time.Time
	Succeeded time.Time // the start of the last run without an error; 1970: none
	Took      time.Duration
	Backlog   int64
	Lag       time.Duration
}

// Job are the metrics of one background job.
type Job struct {
	jobs *jobs
	name string

	mu     sync.Mutex
	shards map[int]JobRun
}

// Job returns the metrics of a background job.
func (m *Metrics) Job(name string) *Job {
	for _, result := range []string{"done", "failed"} {
		m.jobs.runs.WithLabelValues(name, result)
	}
	m.jobs.items.WithLabelValues(name)
	m.jobs.errors.WithLabelValues(name)
	return &Job{jobs: &m.jobs, name: name, shards: map[int]JobRun{}}
}

// Ran counts a run by this gateway. err is why the run failed.
func (j *Job) Ran(items, errors int64, err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	j.jobs.runs.WithLabelValues(j.name, result).Inc()
	j.jobs.items.WithLabelValues(j.name).Add(float64(items))
	j.jobs.errors.WithLabelValues(j.name).Add(float64(errors))
}

// Show exports the last run of a shard, by any gateway.
func (j *Job) Show(shard int, run JobRun) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.shards[shard] = run
	latest, oldestSuccess := run, run.Succeeded
	var backlog int64
	var lag time.Duration
	for _, r := range j.shards {
		if r.Started.After(latest.Started) {
			latest = r
		}
		if r.Succeeded.Before(oldestSuccess) {
			oldestSuccess = r.Succeeded
		}
		backlog += r.Backlog
		lag = max(lag, r.Lag)
	}
	j.jobs.last.WithLabelValues(j.name).Set(unixSeconds(latest.Started))
	j.jobs.duration.WithLabelValues(j.name).Set(latest.Took.Seconds())
	j.jobs.success.WithLabelValues(j.name).Set(unixSeconds(oldestSuccess))
	j.jobs.backlog.WithLabelValues(j.name).Set(float64(backlog))
	j.jobs.lag.WithLabelValues(j.name).Set(lag.Seconds())
}

// unixSeconds returns the seconds since 1970.
func unixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
