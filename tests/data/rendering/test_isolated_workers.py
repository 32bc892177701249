"""data.rendering.isolated_workers: every job has an outcome, whatever happens to its process."""

import os
import signal

from data.rendering.isolated_workers import THREAD_LIMITS, run_isolated


def work(job):
    """What the worker processes run: doubles its job unless told to fail or to die."""
    if job == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if job == "exit":
        os._exit(3)
    if job == "wrong":
        raise ValueError("a wrong value")
    if job == "bug":
        raise KeyError("missing")
    if job == "threads":
        return os.environ["OMP_NUM_THREADS"]
    return job * 2


def test_errors_and_deaths_fail_their_own_job_only(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    jobs = ["a", "crash", "wrong", "b", "exit", "bug", "threads"]
    before = {name: os.environ.get(name) for name in THREAD_LIMITS}
    outcomes = list(run_isolated(work, jobs, 2))
    assert sorted(outcome.job for outcome in outcomes) == sorted(jobs)
    results = {outcome.job: outcome.result for outcome in outcomes if outcome.error is None}
    assert results == {"a": "aa", "b": "bb", "threads": "1"}
    errors = {outcome.job: outcome.error for outcome in outcomes if outcome.error is not None}
    assert errors["wrong"] == "a wrong value"
    assert errors["bug"] == "KeyError: 'missing'"
    assert "exit code -11" in errors["crash"]
    assert "exit code 3" in errors["exit"]
    assert {name: os.environ.get(name) for name in THREAD_LIMITS} == before


def test_abandoning_the_outcomes_stops_the_processes():
    outcomes = run_isolated(work, ["a", "b", "c", "d", "e"], 1)
    next(outcomes)
    outcomes.close()  # would hang if a worker were left to wait for


def test_no_jobs_give_no_outcomes():
    assert list(run_isolated(work, [], 2)) == []
