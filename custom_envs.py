"""
Lets rl-zoo3's own commands find this project: ``python -m rl_zoo3.train --algo dqn --env Dispatch-v0 -conf ...``.

rl-zoo3 imports a module of this name, when there is one on the path, before it reads its arguments. It registers the
environments and algorithms and puts the manager in that logs the reward that is learned from.
"""

from __future__ import annotations

import sys

try:
    from training.registration import register

    register()
    # Not while rl-zoo3's manager module is being imported: then `training.zoo` asks for it, to derive from it.
    if "rl_zoo3.exp_manager" not in sys.modules:
        import rl_zoo3.exp_manager

        from training.zoo import ZooManager

        rl_zoo3.exp_manager.ExperimentManager = ZooManager  # type: ignore[misc]
except ImportError as error:
    # rl-zoo3 swallows an ImportError here and then says that it doesn't know the environment
    raise RuntimeError(f"custom_envs.py: {error}. Install with `pip install -r requirements.txt`.") from error
