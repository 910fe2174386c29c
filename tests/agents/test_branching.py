"""Learning from branched states: which actions are tried, what is stored, and the loss by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from agents.branching import BranchBuffer, Branching, BranchSettings, difference_loss
from agents.branching_dqn import BranchingDQN
from agents.masking import INFEASIBLE
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from tests.agents.toy import ToyDispatch

SMALL = {
    "start": 0.0,
    "horizon_ticks": 0.0,
    "states": 4,
    "actions": 3,
    "random_actions": 1,
    "rows": 24,
    "every": 1,
    "states_per_update": 8.0,
}


def batch_env(num_envs: int = 8) -> DispatchVecEnv:
    return DispatchVecEnv(num_envs, reward_function=RewardFunction.load("v2"), seed=0)


def make_model(**branching) -> BranchingDQN:
    settings = {**SMALL, "batch_size": 16, "buffer_states": 400, **branching}
    return BranchingDQN(
        "PairPolicy",
        batch_env(),
        buffer_size=2_000,
        learning_starts=64,
        batch_size=16,
        branching=settings,
        policy_kwargs={"width": 16},
        seed=0,
        device="cpu",
    )


def test_loss_by_hand():
    # Row 0: Q 1, 3 (mean 2), returns 10, 10.5 (mean 10.25): differences -1, +1 against -0.25, +0.25; errors 0.75 each:
    # Huber 0.75^2 / 2 = 0.28125 each. Row 1: Q 0, 1, 5 (mean 2), returns 1, 2, 6 (mean 3): no error.
    q = th.tensor([[1.0, 3.0, INFEASIBLE], [0.0, 1.0, 5.0]])
    returns = th.tensor([[10.0, 10.5, 99.0], [1.0, 2.0, 6.0]])
    is_tried = th.tensor([[True, True, False], [True, True, True]])
    assert difference_loss(q, returns, is_tried).item() == pytest.approx(2 * 0.28125 / 5)


def test_level_of_the_returns_does_not_matter():
    q, returns = th.randn(4, 3), th.randn(4, 3)
    is_tried = th.ones(4, 3, dtype=th.bool)
    shifted = returns + th.tensor([[0.0], [5.0], [-7.0], [100.0]])
    assert difference_loss(q, shifted, is_tried).item() == pytest.approx(
        difference_loss(q, returns, is_tried).item(), abs=1e-4
    )


def test_best_actions_are_tried_and_the_rest_by_lot():
    np.random.seed(0)
    q_values = np.full((500, 10), INFEASIBLE, np.float32)
    q_values[:, :8] = np.arange(8)  # actions 0-7 are feasible, 7 is the best
    q_values[0, 3:] = INFEASIBLE  # only three feasible
    settings = BranchSettings(states=1, actions=5, random_actions=2, rows=8)
    actions, num_tried = Branching._choose_actions(FakeBranching(settings), q_values)  # type: ignore[arg-type]
    assert actions[0].tolist() == [2, 1, 0, 0, 0] and num_tried[0] == 3
    assert (num_tried[1:] == 5).all()
    assert (actions[1:, :3] == [7, 6, 5]).all()
    drawn = actions[1:, 3:]
    assert set(np.unique(drawn)) == {0, 1, 2, 3, 4}
    assert (drawn[:, 0] != drawn[:, 1]).all()


class FakeBranching:
    def __init__(self, settings: BranchSettings) -> None:
        self.settings = settings


def test_buffer_gives_back_what_was_put_in():
    env = ToyDispatch(2, 3)
    buffer = BranchBuffer(8, env.observation_space, env.action_space, 3, n_envs=2, packed=False)
    obs, _ = env.reset(seed=0)
    while obs["action_mask"].sum() < 3:
        obs, *_ = env.step(0)
    look = {key: np.stack([value, value]) for key, value in obs.items()}
    feasible = np.flatnonzero(obs["action_mask"])
    actions = np.array([[feasible[1], feasible[2], 0], [feasible[0], 0, 0]])
    buffer.add_states(look, actions, np.array([3, 1]), np.array([[5.0, 6.0, 7.0], [8.0, 0.0, 0.0]]))
    samples = buffer.sample_states(64)
    count = samples.is_tried.sum(dim=1)
    assert set(count.tolist()) == {1, 3}
    assert (samples.returns[count == 3] == th.tensor([5.0, 6.0, 7.0])).all()
    assert (samples.actions[count == 3] == th.as_tensor(actions[0])).all()
    assert samples.returns[count == 1][:, 0].unique().tolist() == [8.0]
    assert th.allclose(samples.observations["bookings"][0], th.as_tensor(obs["bookings"]), atol=1e-3)


def test_agent_learns_from_branches_and_says_so():
    model = make_model()
    before = [parameter.clone() for parameter in model.q_net.parameters()]
    model.learn(640)
    assert model._branching is not None and model._branching.num_states >= 16
    assert model._branching.branches.num_decisions > model._branching.num_states
    assert any(not th.equal(a, b) for a, b in zip(before, model.q_net.parameters(), strict=True))
    assert {"branching/loss", "branching/states", "branching/decisions"} <= set(model.logger.name_to_value)


def test_branching_moves_the_advantages_and_leaves_the_level():
    model = make_model()
    model.learn(640)
    # Differences say nothing of V: with no other loss its head stays at zero but for rounding.
    moved = model.q_net.score_head.weight.abs().max()
    assert moved > 0.0
    assert model.q_net.value_head.weight.abs().max() < 0.2 * moved


def test_start_puts_branching_off():
    class Noted(BaseCallback):
        def _on_step(self) -> bool:
            looks.append((self.num_timesteps, model._branch_calls))
            return True

    looks: list[tuple[int, int]] = []
    model = make_model(start=0.5)
    model.learn(640, callback=Noted())
    assert all(calls == 0 for steps, calls in looks if steps <= 320)
    assert looks[-1][1] > 0


def test_nothing_is_learned_from_too_few_states():
    # SMALL branches 4 states at a look and makes a gradient step for every 8.
    patient, eager = make_model(min_states=10_000), make_model(min_states=0)
    for model in (patient, eager):
        model.learn(640)
        assert model._branching is not None and model._branching.num_states > 16
    assert eager.policy.q_net.score_head.weight.abs().max() > 0.0
    assert patient.policy.q_net.score_head.weight.abs().max() == 0.0


def test_values_stand_still_once_branching_begins():
    class Noted(BaseCallback):
        def _on_step(self) -> bool:
            if model._has_begun_branching:
                seen.append([p.clone() for p in model.q_net_target.parameters()])
            return True

    seen: list[list[th.Tensor]] = []
    model = make_model(start=0.5, horizon_ticks=2.0)
    model.learn(640, callback=Noted())
    assert len(seen) > 1 and model.q_net_target.value_head.weight.abs().max() > 0.0
    assert all(th.equal(a, b) for a, b in zip(seen[0], model.q_net_target.parameters(), strict=True))
    assert any(not th.equal(a, b) for a, b in zip(seen[0], model.q_net.parameters(), strict=True))


def test_saved_agent_loads_without_its_branches(tmp_path):
    model = make_model()
    model.learn(640)
    model.save(tmp_path / "model.zip")
    loaded = BranchingDQN.load(tmp_path / "model.zip", env=batch_env(), device="cpu")
    assert loaded._branching is None and loaded.branching == model.branching
    obs = loaded.env.reset()
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])
    loaded.learn(640)
    assert loaded._branching.num_states > 0


def test_single_environments_are_refused():
    settings = {"buffer_size": 500, "learning_starts": 20, "batch_size": 8, "device": "cpu"}
    model = BranchingDQN("PairPolicy", ToyDispatch(2, 4), branching=SMALL, **settings)
    with pytest.raises(ValueError, match="train on the native batch"):
        model.learn(100)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"state": 3}, r"branching: unknown key 'state'. Did you mean 'states'"),
        ({"start": "2e-1"}, r"branching: start: expected a number, came 2e-1. YAML reads 1e-4 as text"),
        ({"actions": 1}, "2 or more actions"),
        ({"random_actions": 6}, "fewer of them random"),
        ({"start": 1.5}, "share of the training"),
        ({"rows": 10}, "more than rows=10"),
        ({"start": 0.0}, "needs values learned before"),
    ],
)
def test_wrong_settings_are_errors(given, message):
    with pytest.raises(ValueError, match=message):
        BranchSettings.read(given)
