"""The command line: `gmdsl demo`."""

import argparse
import sys

import gmdsl


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    Args:
        arguments: words after the program's name; those of the process when None.
    """
    parser = argparse.ArgumentParser(prog="gmdsl", description=gmdsl.__doc__ and gmdsl.__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("demo", help="sample two models on real data, print and draw what is found")
    show.add_argument("--out", default="gmdsl-demo", help="folder to write (default: gmdsl-demo)")
    show.add_argument("--draws", type=int, default=1000, help="draws per chain (default: 1000)")
    show.add_argument("--warmup", type=int, default=1000, help="warm-up draws per chain (default: 1000)")
    show.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    from gmdsl.core.errors import SpecError
    from gmdsl.demo import demo

    try:
        demo(options.out, draws=options.draws, warmup=options.warmup, progress=not options.quiet)
    except SpecError as error:
        print(f"gmdsl: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
