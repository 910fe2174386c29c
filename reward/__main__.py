"""``python -m reward [VERSION ...]``: print what each version pays."""

from __future__ import annotations

import argparse
import sys

from reward.describe import describe
from reward.weights import VERSIONS


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m reward", description="Print the weights of reward versions.")
    parser.add_argument("versions", nargs="*", default=list(VERSIONS), metavar="VERSION", help="v1, v2, v3 or a file")
    try:
        print("\n\n".join(describe(version) for version in parser.parse_args(argv).versions))
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
