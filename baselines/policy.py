"""What a policy to beat is: a name, a statement of what it does, and a choice for every day played side by side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from checked import check_names
from envs.orders import Orders, carry_out
from envs.world.records import World

IntArray = npt.NDArray[np.int64]


@contextmanager
def plans_left_alone(world: World, are_left: bool = True) -> Iterator[None]:
    """Plan improvement is off inside, where ``are_left``."""
    saved = world.rules["improves_plans"].copy()
    if are_left:
        world.rules["improves_plans"] = 0
    try:
        yield
    finally:
        world.rules["improves_plans"] = saved


class Policy(ABC):
    """
    A dispatcher that chooses one action per decision.

    It is asked for ``orders`` on a batch of days, which whoever runs it carries out: a policy reads the world and
    changes nothing in it. Most choose in the action space, so they say how they ``act``. ``predict`` is what a
    Stable-Baselines3 model has, once it is bound to an environment. A policy keeps no memory between decisions; what it
    needs it reads from the simulated world, never from what is not released yet.

    Attributes
    ----------
    name
        What it does, in snake case.
    description
        Which bookings it looks at, in which order, which driver it chooses, how ties are broken, when it waits.
    sees_backlog
        Whether it looks at open bookings beyond the M slots.
    needs_reward
        Whether it chooses by what the reward would pay.
    reads_observation
        Whether it reads the batch's observation; for others none is written.
    plans_itself
        Whether it has a plan of its own for all that is known: the evaluation leaves its trips alone, as plan
        improvement would move what is promised at the last moment.
    """

    name: str
    description: ClassVar[str]
    sees_backlog: ClassVar[bool] = False
    needs_reward: ClassVar[bool] = False
    reads_observation: ClassVar[bool] = False
    plans_itself: ClassVar[bool] = False

    def __init__(self) -> None:
        self._batch: Any = None
        self._payer: Any = None

    @abstractmethod
    def act(self, batch: Any, payer: Any = None) -> IntArray:
        """
        Choose for every day of ``batch``.

        Parameters
        ----------
        batch
            An ``envs.batch.DispatchBatch`` that has been refreshed.
        payer
            The reward's state on this batch, its pairs priced; only read when ``needs_reward``.

        Returns
        -------
        int64, shape (batch_size,)
            0 waits, else 1 + driver row x M + slot.
        """

    def orders(self, batch: Any, payer: Any = None) -> Orders:
        """What is to be done now on every day; here the action of each, elsewhere also what no action can say."""
        return Orders(self.act(batch, payer))

    def bind(self, env: Any) -> Policy:
        """
        Let ``predict`` choose for this environment: a ``DispatchEnv``, wrapped or not, or a ``DispatchVecEnv``.

        A ``DummyVecEnv`` of one ``DispatchEnv`` will do too.

        Raises
        ------
        ValueError
            When the policy chooses by reward and the environment pays none, or when it is no environment of ours.
        """
        members = getattr(env.unwrapped, "envs", [])
        if len(members) == 1:
            env = members[0]
        self._batch = getattr(env.unwrapped, "batch", None)
        if self._batch is None:
            raise ValueError(
                f"rule '{self.name}' needs a DispatchEnv, a DummyVecEnv of one, or a DispatchVecEnv, came {env!r:.80}."
            )
        self._payer = _attribute(env, "payer")
        if self.needs_reward and self._payer is None:
            raise ValueError(
                f"rule '{self.name}' chooses by what the reward would pay, but the environment has no reward. "
                "Wrap it first: reward.RewardV2(env)."
            )
        return self

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[IntArray, Any]:
        """
        As a Stable-Baselines3 model: one action for one observation, an array for a batch of them.

        Orders that no action can say are given to the environment first; only re-planners have any.
        """
        if self._batch is None:
            raise RuntimeError(f"rule '{self.name}' is not bound to an environment. Call policy.bind(env) first.")
        orders = self.orders(self._batch, self._payer)
        carry_out(self._batch.world, orders.beyond)
        is_single = np.ndim(observation["clock"]) == 1
        return (orders.actions[0] if is_single else orders.actions), state

    def settings(self) -> dict[str, float]:
        """The values it was made with; empty when nothing can be tuned."""
        return {}


class TunableRule(Policy):
    """
    A rule with numbers to tune.

    ``space`` names them with the range in which they are searched and their value when nothing was tuned; ``starts``
    are settings that make sense on some kind of day, where a search begins besides.
    """

    space: ClassVar[dict[str, tuple[float, float, float]]]
    starts: ClassVar[tuple[dict[str, float], ...]] = ()

    def __init__(self, **settings: float) -> None:
        super().__init__()
        check_names(f"rule '{self.name}'", settings, self.space, "setting")
        self._settings = {name: float(settings.get(name, default)) for name, (_, _, default) in self.space.items()}

    def settings(self) -> dict[str, float]:
        return dict(self._settings)


def _attribute(env: Any, name: str) -> Any:
    """``name`` from the outermost wrapper that has it, or None; works for gymnasium environments and VecEnvs."""
    while env is not None:
        if name in vars(env) or name in dir(type(env)):
            return getattr(env, name)
        env = getattr(env, "env", None) or getattr(env, "venv", None)
    return None
