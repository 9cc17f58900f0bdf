"""All tables of performance.

    uv run --group test python benchmarks/run.py [--quick] [--only langevin,nuts] [--out FOLDER]

Each writes a Markdown table, a picture and JSON to `docs/performance/`. With `--quick` there are few pairs, whose
numbers are worth nothing, and the files go to a temporary folder unless `--out` is given. All tables take about 45
minutes on two cores; the machine must be quiet.
"""

import argparse
import importlib
import tempfile
import time
import traceback

import report

TABLES = ("langevin", "nuts", "startup", "training", "convolutions", "scale")


def main(*only):
    """Makes the tables; a table's own script names itself in `only`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two pairs, to see that everything runs")
    parser.add_argument("--only", default=",".join(only or TABLES), help="names of tables, separated by commas")
    parser.add_argument("--cases", default="", help="cases whose names contain one of these, separated by semicolons")
    parser.add_argument("--out", help="folder of the files; docs/performance by default")
    options = parser.parse_args()
    folder = options.out or (tempfile.mkdtemp() if options.quick or options.cases else report.FOLDER)
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(TABLES):
        parser.error(f"no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    cases = [part for part in options.cases.split(";") if part]
    failed = []
    for name in wanted:
        began = time.perf_counter()
        wanted_case = lambda case: not cases or any(part in case for part in cases)  # noqa: E731
        try:
            text = report.write(importlib.import_module(name).table(options.quick, wanted_case), folder)
        except Exception:  # the other tables take long, too
            failed.append(name)
            traceback.print_exc()
            continue
        print(f"\n{text}\n{name}: {time.perf_counter() - began:.0f} s, written to {folder}\n", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
