"""The loop of a peer: one JSON object per line in, one out. Used by the scripts beside it."""

import json
import sys
import time


def least_seconds(repeat, work):
    """The least seconds of `repeat` runs of `work`."""
    least = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - start)
    return least


def serve(versions, commands):
    """Says hello, then answers `{"do": NAME, ...}` with what `commands[NAME](**rest)` returns."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is not an answer
    print(json.dumps({"versions": versions}), file=out, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = commands[question.pop("do")](**question)
        except Exception as error:  # the bench prints it and goes on without this number
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)


def stop(reason):
    """Says why there is no peer."""
    print(json.dumps({"error": reason}), flush=True)
    sys.exit(0)
