"""The command line: `gmdsl demo`, `gmdsl launch`."""

import argparse
import sys

import gmdsl

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended, 128 + SIGINT


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    Args:
        arguments: words after the program's name; those of the process when None.
    """
    options = _parser().parse_args(arguments)
    from gmdsl.core.errors import SpecError

    try:
        return options.run(options)
    except SpecError as error:
        print(f"gmdsl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gmdsl: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gmdsl", description=gmdsl.__doc__ and gmdsl.__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("demo", help="sample two models on real data, print and draw what is found")
    show.add_argument("--out", default="gmdsl-demo", help="folder to write (default: gmdsl-demo)")
    show.add_argument("--draws", type=int, default=1000, help="draws per chain (default: 1000)")
    show.add_argument("--warmup", type=int, default=1000, help="warm-up draws per chain (default: 1000)")
    show.add_argument("--quiet", action="store_true", help="no progress bars")
    show.set_defaults(run=_demo)
    launch = commands.add_parser("launch", help="run a script in several processes that share the chains of its runs")
    launch.add_argument("--processes", type=int, default=2, help="how many (default: 2)")
    launch.add_argument("--restarts", type=int, default=3, help="restarts of a process that died (default: 3)")
    launch.add_argument("--devices", type=int, default=1, help="devices of each process, for mesh= (default: 1)")
    launch.add_argument("--distributed", action="store_true", help="one job of jax.distributed on this machine")
    launch.add_argument("--logs", help="folder for what all but the first process print (default: a temporary one)")
    launch.add_argument("script", help="a Python file that calls gm.sample(..., store=...)")
    launch.add_argument("arguments", nargs=argparse.REMAINDER, help="words for the script")
    launch.set_defaults(run=_launch)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from gmdsl.demo import demo

    demo(options.out, draws=options.draws, warmup=options.warmup, progress=not options.quiet)
    return 0


def _launch(options: argparse.Namespace) -> int:
    from gmdsl.run.parallel.launch import Job, launch

    names = ("script", "arguments", "processes", "restarts", "devices", "distributed", "logs")
    return launch(Job(**{name: getattr(options, name) for name in names}))


if __name__ == "__main__":
    sys.exit(main())
