"""`thinghub COMMAND ...`: finds the command among the installed packages and gives it the rest of the line.

A package adds a command by an entry point of the group `thinghub.commands`: a function that takes the arguments after
the command's name and returns the exit code. Its first docstring line is what `thinghub` alone prints beside it.
"""

import difflib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points, version

GROUP = "thinghub.commands"
EXIT_USAGE = 2

Command = Callable[[Sequence[str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {point.name: point for point in entry_points(group=GROUP)}
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help(commands))
        return 0
    if given[0] in ("-V", "--version", "version"):
        print(f"thinghub {version('thinghub-cli')}")
        return 0
    point = commands.get(given[0])
    if point is None:
        near = difflib.get_close_matches(given[0], commands, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(commands))}."
        print(f"thinghub: no command {given[0]}: {hint}", file=sys.stderr)
        return EXIT_USAGE
    # read when gRPC is imported, so it stands here: else gRPC remarks on every child that a command starts
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    command: Command = point.load()
    return command(given[1:])


def _help(commands: dict[str, EntryPoint]) -> str:
    lines = [f"  {name:10} {_sentence(point)}" for name, point in sorted(commands.items())]
    return "\n".join(["usage: thinghub COMMAND ...", "", *lines, "", "thinghub COMMAND --help tells its options."])


def _sentence(point: EntryPoint) -> str:
    return (inspect.getdoc(point.load()) or "").partition("\n")[0]


if __name__ == "__main__":
    raise SystemExit(main())
