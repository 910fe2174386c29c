"""What would have come of other actions: copies of days in play, each led on from another action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.batch import DispatchBatch
from envs.snapshot import payer_state, restore_payer
from envs.vec_env import DispatchVecEnv
from envs.world.decisions import step_days

Choose = Callable[[dict[str, npt.NDArray[Any]]], npt.NDArray[np.int64]]
Value = Callable[[dict[str, npt.NDArray[Any]]], npt.NDArray[np.floating[Any]]]


class Branches:
    """
    Copies rows of a `DispatchVecEnv`, takes a given action in each copy and plays on from there.

    All of a day is drawn before it starts, so copies of one state share their future: differences between their
    returns are due to the actions alone (common random numbers; the "vine" of Schulman et al. 2015, "Trust Region
    Policy Optimization", section 5.2). Whoever chooses in a copy sees what an agent sees, never the future.

    Parameters
    ----------
    env
        Where the days are in play; it needs a reward.
    num_rows
        Copies played side by side.

    Raises
    ------
    ValueError
        When the environment pays no reward.
    """

    def __init__(self, env: DispatchVecEnv, num_rows: int) -> None:
        payer: Any = env.payer
        if payer is None:
            raise ValueError("branches: the environment pays no reward. Pass reward_function.")
        self.env, self.num_rows = env, num_rows
        self.batch = DispatchBatch(env.scenario, num_rows)
        self.payer: Any = payer.function.attach(self.batch)
        self.actions = np.zeros(num_rows, np.int64)
        self.num_waiting = 0
        self.num_decisions = 0  # ever made in copies

    @property
    def room(self) -> int:
        """Copies that can still be put in before they have to be played."""
        return self.num_rows - self.num_waiting

    def put(self, rows: npt.ArrayLike, actions: npt.ArrayLike) -> None:
        """Copy these rows of the environment as they stand now; each copy will begin with its action."""
        rows, actions = np.asarray(rows, np.int64), np.asarray(actions, np.int64)
        if len(rows) > self.room:
            raise ValueError(f"branches: room for {self.room} copies, got {len(rows)}. Play first.")
        at = np.arange(self.num_waiting, self.num_waiting + len(rows))
        self.batch.copy_rows(self.env.batch, rows, at)
        self.payer.copy_rows(self.env.payer, rows, at)
        self.actions[at] = actions
        self.num_waiting += len(rows)

    def snapshot(self) -> dict[str, Any]:
        """The copies that wait to be played, as plain data."""
        rows = np.arange(self.num_waiting)
        return {
            "batch": self.batch.snapshot(rows),
            "payer": payer_state(self.payer, rows),
            "days": self.env.names_of_days(self.batch.days[: self.num_waiting]),
            "actions": self.actions[rows],
            "num_decisions": self.num_decisions,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Hold the copies of ``snapshot``."""
        rows = np.arange(len(saved["actions"]))
        self.batch.restore(rows, saved["batch"], self.env.days_named(saved["days"]))
        restore_payer(self.payer, rows, saved["payer"])
        self.actions[rows] = saved["actions"]
        self.num_waiting, self.num_decisions = len(rows), saved["num_decisions"]

    def play(
        self,
        choose: Choose,
        value: Value | None = None,
        horizon_min: float = np.inf,
        discount_per_min: float = 1.0,
        leader: Any = None,
        led_min: float = 0.0,
    ) -> npt.NDArray[np.float64]:
        """
        Play the copies put in so far, each until ``horizon_min`` have passed since its first action or its day is over.

        Parameters
        ----------
        choose
            Actions for a batch of observations, after the first action of each copy.
        value
            What a state is worth to whoever goes on from it, in the unit of the reward; added to copies that are cut
            off by the horizon. With a finite horizon, this or ``leader`` is needed.
        horizon_min
            Minutes of the clock.
        discount_per_min
            Factor on what is paid, per minute since the copy began.
        leader, led_min
            A rule (``act(batch, payer)``) that plays the copies on from the horizon, for so many minutes. No
            observation is written for it, which makes its decisions cheap.

        Returns
        -------
        float64, shape (copies,)
            What was paid from the first action on, and what the state is worth where the copy was cut off.
        """
        if value is None and leader is None and np.isfinite(horizon_min):
            raise ValueError(
                "branches: a finite horizon needs the value of the states where it cuts off, or a rule that leads on."
            )
        count, self.num_waiting = self.num_waiting, 0
        clocks = self.batch.world.clocks
        clocks["is_done"][count:] = 1  # rows not in use stand still
        self.payer.close(slice(count, None))
        begun_min = clocks["now_min"][:count].copy()
        returns = np.zeros(count)
        actions = self.actions
        playing = np.arange(count)
        led: list[npt.NDArray[np.int64]] = []
        while len(playing):
            passed_min = clocks["now_min"][playing] - begun_min[playing]
            self.batch.step(actions)
            returns[playing] += discount_per_min**passed_min * self.payer.pay()[playing]
            self.num_decisions += len(playing)
            playing = playing[~self.batch.is_done[playing]]
            if not len(playing):
                break
            self.payer.price_pairs()
            passed_min = clocks["now_min"][playing] - begun_min[playing]
            is_cut = passed_min >= horizon_min - 1e-9
            if is_cut.any():
                cut = playing[is_cut]
                if leader is not None:
                    led.append(cut)  # stands still until all are there
                elif value is not None:
                    returns[cut] += discount_per_min ** passed_min[is_cut] * value(self._observation(cut))
                clocks["is_done"][cut] = 1
                self.payer.close(cut)
                playing = playing[~is_cut]
                if not len(playing):
                    break
            actions[:] = 0
            actions[playing] = choose(self._observation(playing))
        if led:
            self._lead(leader, np.concatenate(led), begun_min, horizon_min + led_min, discount_per_min, returns)
        return returns

    def _lead(
        self,
        leader: Any,
        playing: npt.NDArray[np.int64],
        begun_min: npt.NDArray[np.float64],
        until_min: float,
        discount_per_min: float,
        returns: npt.NDArray[np.float64],
    ) -> None:
        """Let the rule play these copies until so many minutes after they began; what is paid is added."""
        clocks = self.batch.world.clocks
        clocks["is_done"][playing] = 0
        self.payer.reopen(playing)
        while True:
            passed_min = clocks["now_min"][playing] - begun_min[playing]
            is_over = passed_min >= until_min - 1e-9
            clocks["is_done"][playing[is_over]] = 1
            self.payer.close(playing[is_over])
            playing, passed_min = playing[~is_over], passed_min[~is_over]
            if not len(playing):
                return
            self.payer.price_pairs()
            step_days(self.batch.world, leader.act(self.batch, self.payer))
            returns[playing] += discount_per_min**passed_min * self.payer.pay()[playing]
            self.num_decisions += len(playing)
            playing = playing[~self.batch.is_done[playing]]

    def _observation(self, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        arrays = {
            **self.batch.observation,
            "pair_reward": self.payer.pair_reward,
            "wait_reward": self.payer.wait_reward,
        }
        return {key: array[rows] for key, array in arrays.items()}
