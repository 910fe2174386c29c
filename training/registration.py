"""Makes the environments known to Gymnasium and the algorithms to rl-zoo3; whoever trains calls it first."""

from __future__ import annotations

from collections.abc import Iterable

from checked import import_packages


def register(packages: Iterable[str] = ()) -> None:
    """
    Register what this project brings, then import ``packages``, which register theirs. Calling it again is harmless.

    Parameters
    ----------
    packages
        Modules that add environments to Gymnasium or algorithms to ``rl_zoo3.utils.ALGOS`` when they are imported.

    Raises
    ------
    SettingsError
        When one of them can't be imported.
    """
    import envs  # noqa: F401 - importing it registers
    from agents.zoo import register as register_algorithms

    register_algorithms()
    import_packages(packages)
