r"""How contenders are compared: long-lived processes, interleaved pairs, ratios with an interval by ranks.

Each contender is a process of its own (`worker.py`). A pair is one run of the base and one of the contender, one right
after the other, the order turned about from pair to pair, so that a slow spell of the machine hits both. The ratio of a
pair is (seconds per unit of work of the contender) / (those of the base); told are the median over pairs and an
interval for the median of the law from which the ratios come. For n pairs the interval reaches from the k-th
smallest to the k-th largest ratio, k as large as $P(\mathrm{Bin}(n, 1/2) < k) \le 0.025$ allows: it assumes nothing of
that law but that pairs are independent. A contender "control" is the base in a second process: a ratio that the control
shows too is noise.
"""

import dataclasses
import json
import math
import statistics
import subprocess
import tempfile
import time

import peers

LEAST = 0.05  # seconds of a timed request; below, a processor's time is not to be trusted


@dataclasses.dataclass(frozen=True)
class Contender:
    """A row of a table.

    Attributes:
        name: as the table shows it.
        environment: where it lives (`peers.ENVIRONMENTS`).
        module: the file, such as `contenders.nuts_gmdsl`.
        key: its name in `CONTENDERS` of that file.
        goal: what the ratio to the base is meant to be at least; a function of the case, or None.
        cases: which cases it takes part in; a function of the case, or None for all.
    """

    name: str
    environment: str
    module: str
    key: str
    goal: object = None
    cases: object = None


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a comparison lasts.

    Attributes:
        pairs: how many.
        seconds: no pair begins after so many, once `least` are done.
        least: pairs at least; six give an interval of 95 %.
    """

    pairs: int = 15
    seconds: float = 30.0
    least: int = 6


QUICK = Length(pairs=2, seconds=5.0, least=1)


class ContenderError(RuntimeError):
    """A contender's process reported an error or ended."""


class Process:
    """A contender's process."""

    def __init__(self, contender, one_thread=False, **variables):
        self.contender = contender
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the process)
        self.caches = tempfile.TemporaryDirectory()
        variables = {**peers.empty_caches(self.caches.name), **variables}
        command = [peers.interpreter(contender.environment), str(peers.HERE / "worker.py")]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            cwd=peers.HERE, env=peers.surroundings(one_thread, **variables),
        )  # fmt: skip
        self.imports = self.ask({"load": contender.module, "one_thread": one_thread})

    def ask(self, request):
        """Sends one request and waits for the answer."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            raise ContenderError(f"{self.contender.name} ended:\n{self.errors.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise ContenderError(f"{self.contender.name}:\n{answer['error']}")
        return answer

    def prepare(self, case):
        """Builds the contender for a case; seconds of the first call."""
        return self.ask({"prepare": case, "name": self.contender.key})

    def run(self, seed, repeat=1, save=None):
        """One timed request."""
        return self.ask({"run": seed, "repeat": repeat, "save": save})

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.stdout.close()
        self.errors.close()
        self.caches.cleanup()


class Bench:
    """The processes of a table, one for each contender, started when first needed.

    With `fresh` each case has processes of its own, so that its first calls find nothing that another case compiled.
    """

    def __init__(self, contenders, one_thread=False, fresh=False):
        self.one_thread, self.fresh = one_thread, fresh
        lacking = {name: peers.interpreter(name) is None for name in {c.environment for c in contenders}}
        self.contenders = [c for c in contenders if not lacking[c.environment]]
        self.skipped = [(c.name, c.environment) for c in contenders if lacking[c.environment]]
        for name, environment in self.skipped:
            print(f"{name}: benchmarks/.venv-{environment} is not there, skipped (see benchmarks/README.md)")
        self.processes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends all processes."""
        for process in self.processes.values():
            process.close()
        self.processes = {}

    def process(self, contender):
        """The process of a contender."""
        if contender.name not in self.processes:
            self.processes[contender.name] = Process(contender, self.one_thread)
        return self.processes[contender.name]

    def compare(self, case, length, measure=None):
        """The base, which is the first contender, against all others that take part in a case; one row for each.

        Args:
            case: a dict that contenders understand, with a `name`.
            length: of the comparison.
            measure: a function of (case, process, seed, repeat) -> answer, in place of `Process.run`.
        """
        if self.fresh:
            self.close()
        taking = [c for c in self.contenders if c.cases is None or c.cases(case)]
        ready, failed = {}, {}
        for contender in taking:
            try:
                ready[contender.name] = prepared(self.process(contender), case)
            except ContenderError as error:
                failed[contender.name] = str(error).strip().splitlines()[-1]
                print(f"{case['name']}, {contender.name} failed: {error}", flush=True)
        base, rows = taking[0], []
        for contender in taking:
            if contender.name in failed:
                rows.append({"case": case["name"], "name": contender.name, "failed": failed[contender.name]})
                continue
            sides = ready[base.name], ready[contender.name]
            pairs = measured(case, sides, length, measure or plain) if contender is not base else []
            rows.append(row(case, contender, ready[contender.name][1], pairs, rows))
            print(told(rows[-1]), flush=True)
        rows[0] |= medians([p[0] for r in rows for p in r.get("pairs", ())])
        return rows


def prepared(process, case):
    """A process that has run a case once, the seconds of that, and how often to repeat a call in a request."""
    first = process.prepare(case)
    second = process.run(1)
    return process, first, max(1, math.ceil(LEAST / max(second["wall"], 1e-6)))


def plain(case, process, seed, repeat):
    """One timed request, as it is."""
    return process.run(seed, repeat)


def measured(case, sides, length, measure):
    """Pairs of answers, base first."""
    pairs, began = [], time.perf_counter()
    for i in range(length.pairs):
        if i >= length.least and time.perf_counter() - began > length.seconds:
            break
        answers = [None, None]
        for side in (0, 1) if i % 2 == 0 else (1, 0):
            process, _, repeat = sides[side]
            answers[side] = measure(case, process, 1000 + 100 * i, repeat)
        pairs.append(answers)
    return pairs


def row(case, contender, first, pairs, before):
    """What the pairs say of a contender."""
    goal = contender.goal(case) if callable(contender.goal) else contender.goal
    found = {"case": case["name"], "name": contender.name, "goal": goal, "first": first, "pairs": pairs}
    if pairs:
        found |= medians([p[1] for p in pairs])
        for clock in ("cpu", "wall"):
            found[f"{clock} ratio"] = ratio([(per_work(p[0], clock), per_work(p[1], clock)) for p in pairs])
        kept = before[0]["first"]
        found["first ratio"] = first["wall"] / kept["wall"]
    return found


def per_work(answer, clock):
    """Seconds of a unit of work."""
    return answer[clock] / answer["work"]


def medians(answers):
    """Medians of all that the answers report, with seconds per unit of work."""
    if not answers:
        return {}
    found = {key: statistics.median(a[key] for a in answers) for key in answers[0]}
    unit = {clock: statistics.median(per_work(answer, clock) for answer in answers) for clock in ("cpu", "wall")}
    return {"medians": found, **unit}


def ratio(pairs):
    """Median of contender / base over pairs (base, contender), and its interval."""
    ratios = [b / a for a, b in pairs]
    return {"median": statistics.median(ratios), **interval(ratios)}


def interval(values, error=0.05):
    """The interval of a median by ranks, and the probability with which it holds the median at least.

    >>> interval([5.0, 1.0, 4.0, 2.0, 3.0, 6.0])
    {'low': 1.0, 'high': 6.0, 'level': 0.96875}
    """
    values, n = sorted(values), len(values)
    below = [sum(math.comb(n, j) for j in range(k)) / 2**n for k in range(n // 2 + 2)]
    k = max((k for k in range(1, n // 2 + 1) if below[k] <= error / 2), default=1)
    return {"low": values[k - 1], "high": values[n - k], "level": 1 - 2 * below[k]}


def told(row):
    """One line for the screen."""
    if "cpu ratio" not in row:
        return f"{row['case']}: {row['name']}, first call {row['first']['wall']:.2f} s"
    cpu, wall = row["cpu ratio"], row["wall ratio"]
    goal = "" if row["goal"] is None else f", goal {row['goal']:g}"
    return (
        f"{row['case']}: {row['name']} takes {cpu['median']:.3g} ({cpu['low']:.3g} to {cpu['high']:.3g}) x CPU,"
        f" {wall['median']:.3g} ({wall['low']:.3g} to {wall['high']:.3g}) x wall{goal}; {len(row['pairs'])} pairs"
    )
