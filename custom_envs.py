"""
Lets rl-zoo3's own commands find this project: ``python -m rl_zoo3.train --algo dqn --env Dispatch-v0 -conf ...``.

rl-zoo3 imports a module of this name, when there is one on the path, before it reads its arguments. It registers the
environments and algorithms and puts the manager in that logs the reward that is learned from.
"""

from __future__ import annotations

import sys


def register() -> None:
    """Register the environments with Gymnasium and the algorithms with rl-zoo3."""
    import envs  # noqa: F401
    from agents.zoo import register as register_algorithms

    register_algorithms()


def install_manager() -> None:
    """
    Put ``DispatchManager`` in the place of rl-zoo3's ``ExperimentManager``.

    Not when rl-zoo3's manager module is being imported right now: then this project's own code asked for it, and needs
    the stock class to derive from.
    """
    if "rl_zoo3.exp_manager" in sys.modules:
        return
    import rl_zoo3.exp_manager

    from training.manager import DispatchManager

    rl_zoo3.exp_manager.ExperimentManager = DispatchManager  # type: ignore[misc]


try:
    register()
    install_manager()
except ImportError as error:
    # rl-zoo3 swallows an ImportError here and then says that it doesn't know the environment
    raise RuntimeError(f"custom_envs.py: {error}. Install with `pip install -r requirements.txt`.") from error
