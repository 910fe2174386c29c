"""The agent's arithmetic by hand, its masks, and that SB3's own tools work on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib.common.maskable.evaluation import evaluate_policy as maskable_evaluate_policy
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from agents import export
from agents.maskable_dqn import MaskableDQN
from agents.masking import INFEASIBLE, mask_within, masked_values, random_feasible
from agents.replay import ClockReplayBuffer, ClockSamples, PrioritizedClockReplayBuffer
from agents.schedules import FadingSchedule
from envs.observation import BOOKING_FEATURES
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from tests.agents.toy import ToyDispatch

SMALL = {
    "buffer_size": 2_000,
    "learning_starts": 50,
    "batch_size": 16,
    "seed": 0,
    "reward_scale": 10.0,
    "device": "cpu",
}


def toy_vec(n_envs: int = 4, **kwargs):
    return make_vec_env(lambda: ToyDispatch(2, 4, **kwargs), n_envs=n_envs, seed=0)


def make_model(policy: str = "PairPolicy", n_envs: int = 4, **kwargs) -> MaskableDQN:
    if policy == "MaskableMlpPolicy":
        kwargs.setdefault("policy_kwargs", {"net_arch": [32, 32]})
    return MaskableDQN(policy, toy_vec(n_envs), **{**SMALL, **kwargs})


class TableNet(nn.Module):
    """Answers fixed Q-values, masked."""

    def __init__(self, table: list[list[float]]) -> None:
        super().__init__()
        self.table = th.tensor(table)

    def forward(self, obs):
        return masked_values(self.table, obs["action_mask"])

    def q_of_actions(self, obs, actions):
        return self(obs).gather(1, actions.reshape(-1, 1)).squeeze(1)


def hand_batch(mask: list[list[int]]) -> ClockSamples:
    """Three returns; the second ends the episode, so rows 0 and 2 bootstrap."""
    return ClockSamples(
        observations={},
        actions=th.zeros(3, 1, dtype=th.int64),
        next_observations={"action_mask": th.tensor(mask)},
        bootstraps=th.tensor([0, 2]),
        dones=th.tensor([[0.0], [1.0], [0.0]]),
        rewards=th.tensor([[10.0], [20.0], [30.0]]),
        discounts=th.tensor([[0.5], [0.5], [0.25]]),
        weights=th.ones(3, 1),
        indices=np.arange(3),
    )


def test_double_q_target_by_hand():
    model = make_model()
    model.q_net = TableNet([[1.0, 5.0, 9.0], [4.0, 3.0, 2.0]])
    model.q_net_target = TableNet([[7.0, 8.0, 100.0], [6.0, 50.0, 50.0]])
    # Row 0: action 2 is infeasible; the online net prefers action 1, worth 8 to the target net: 10/10 + 0.5 x 8 = 5.
    # Row 1: the episode ended: 20/10 = 2. Row 2: online prefers action 0, worth 6: 30/10 + 0.25 x 6 = 4.5.
    target = model._targets(hand_batch([[1, 1, 0], [1, 1, 1]]))
    assert target.reshape(-1).tolist() == pytest.approx([5.0, 2.0, 4.5])


def test_plain_dqn_target_by_hand():
    model = make_model(double_q=False)
    model.q_net_target = TableNet([[7.0, 8.0, 100.0], [6.0, 50.0, 40.0]])
    # the target net's own best feasible: 8 and 50
    target = model._targets(hand_batch([[1, 1, 0], [1, 1, 1]]))
    assert target.reshape(-1).tolist() == pytest.approx([5.0, 2.0, 3 + 0.25 * 50])


@pytest.mark.parametrize("double_q", [True, False])
def test_state_without_feasible_action_is_worth_nothing(double_q):
    model = make_model(double_q=double_q)
    model.q_net = model.q_net_target = TableNet([[7.0, 8.0, 9.0], [6.0, 50.0, 40.0]])
    target = model._targets(hand_batch([[0, 0, 0], [1, 0, 0]]))
    assert target.reshape(-1).tolist() == pytest.approx([1.0, 2.0, 3 + 0.25 * 6])


def test_infeasible_value_survives_a_terminal_step():
    assert INFEASIBLE * 0.0 == 0.0  # -inf x 0 would be nan


def test_random_actions_are_uniform_among_the_feasible():
    np.random.seed(0)
    mask = np.tile(np.array([1, 0, 1, 1, 0]), (30_000, 1))
    counts = np.bincount(random_feasible(mask), minlength=5) / len(mask)
    assert counts == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3, 0], abs=0.02)
    assert random_feasible(np.zeros((2, 5))).tolist() == [0, 0]


def test_exploration_is_drawn_for_each_environment():
    model = make_model(n_envs=1)
    obs, _ = ToyDispatch(2, 4).reset(seed=3)
    batch = {key: np.repeat(value[None], 4000, axis=0) for key, value in obs.items()}
    batch["action_mask"][:] = 0
    batch["action_mask"][:, [0, 1]] = 1
    batch["drivers"][:, :, 0] = batch["bookings"][:, :, 0] = 1.0
    greedy = int(model.predict({key: value[0] for key, value in batch.items()}, deterministic=True)[0])
    model.exploration_rate = 0.4
    actions, _ = model.predict(batch)
    # of the exploring 40 %, half hit the greedy action: 20 % differ
    assert (actions != greedy).mean() == pytest.approx(0.2, abs=0.03)


def test_given_masks_take_the_place_of_the_observed():
    model = make_model()
    env = ToyDispatch(2, 4)
    obs, _ = env.reset(seed=0)
    while obs["action_mask"].sum() < 4:
        obs = env.step(0)[0]
    feasible = np.flatnonzero(obs["action_mask"])
    for action in feasible:
        only = np.zeros_like(obs["action_mask"])
        only[action] = 1
        assert model.predict(obs, deterministic=True, action_masks=only)[0] == action


def test_horizon_leaves_out_what_is_further_ahead():
    # Two drivers, three bookings whose earliest pickup is 0, 60 and 61 min ahead: feature = minutes / 120.
    bookings = np.zeros((1, 3, 15), np.float32)
    bookings[0, :, BOOKING_FEATURES.index("minutes_until_earliest")] = np.array([0.0, 60.0, 61.0]) / 120.0
    obs = {"bookings": bookings, "action_mask": np.array([[1, 1, 1, 1, 0, 1, 1]], np.int8)}
    seen = mask_within(obs, 60.0)["action_mask"]
    assert seen.tolist() == [[1, 1, 1, 0, 0, 1, 0]]
    one = {key: value[0] for key, value in obs.items()}
    assert mask_within(one, 60.0)["action_mask"].tolist() == seen[0].tolist()
    assert mask_within(obs, 120.0)["action_mask"].tolist() == obs["action_mask"].tolist()
    assert obs["action_mask"].sum() == 6  # the environment's own stays as it is


def test_agent_with_a_horizon_decides_on_nothing_further_ahead(tmp_path):
    ahead = BOOKING_FEATURES.index("minutes_until_earliest")
    env = DispatchVecEnv(8, "operating_day", RewardFunction.load("v3"), seed=0)
    model = MaskableDQN("PairPolicy", env, horizon_min=30.0, policy_kwargs={"width": 16}, **SMALL)
    model.learn(400)
    model.save(tmp_path / "model.zip")
    loaded = MaskableDQN.load(tmp_path / "model.zip", device="cpu")
    exported = export.load(export.export(model, tmp_path / "model.npz"))
    obs, num_near, num_far = env.reset(), 0, 0
    for _ in range(60):
        actions, _ = model.predict(obs, deterministic=True)
        assert actions.tolist() == loaded.predict(obs, deterministic=True)[0].tolist()
        assert actions.tolist() == exported.predict(obs)[0].tolist()
        assigns = np.flatnonzero(actions)
        slots = (actions[assigns] - 1) % obs["bookings"].shape[1]
        assert (obs["bookings"][assigns, slots, ahead] <= 0.25).all()
        num_near += len(assigns)
        num_far += int((obs["bookings"][:, :, ahead] > 0.25).sum())
        obs = env.step(actions)[0]
    assert num_near > 0 and num_far > 0


def test_horizon_out_of_range_is_refused():
    with pytest.raises(ValueError, match="horizon_min is from 0 to 120"):
        make_model(horizon_min=180.0)


def test_strict_masks_refuse_an_infeasible_action():
    model = make_model(strict_masks=True)
    obs, _ = ToyDispatch(2, 4, draws=0).reset(seed=0)  # no bookings: only wait is feasible
    wrong = np.zeros_like(obs["action_mask"])
    wrong[3] = 1
    with pytest.raises(RuntimeError, match="action 3 of observation 0 is infeasible"):
        model.predict(obs, action_masks=wrong)


@pytest.mark.parametrize("policy", ["PairPolicy", "MaskableMlpPolicy"])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("buffer", [ClockReplayBuffer, PrioritizedClockReplayBuffer])
def test_no_infeasible_action_is_ever_taken(policy, dueling, buffer):
    kwargs = {"dueling": dueling, **({"net_arch": [32, 32]} if policy == "MaskableMlpPolicy" else {"width": 16})}
    model = make_model(policy, replay_buffer_class=buffer, strict_masks=True, policy_kwargs=kwargs)
    model.learn(600)
    evaluate_policy(model, model.get_env(), 5, deterministic=False)
    assert sum(model.get_env().get_attr("num_infeasible")) == 0
    assert model._n_updates > 0
    assert np.isfinite(model.logger.name_to_value["train/loss"])


@pytest.mark.parametrize("policy", ["PairPolicy", "MaskableMlpPolicy"])
def test_saved_and_loaded_model_answers_the_same(policy, tmp_path):
    model = make_model(policy, averaging=0.9)
    model.learn(400)
    model.save(tmp_path / "model")
    loaded = MaskableDQN.load(tmp_path / "model", device="cpu")
    env = ToyDispatch(2, 4)
    obs, _ = env.reset(seed=5)
    for _ in range(10):
        assert np.array_equal(loaded.q_values(obs), model.q_values(obs))
        obs = env.step(loaded.predict(obs, deterministic=True)[0])[0]


def test_training_goes_on_where_it_stopped(tmp_path):
    model = make_model(replay_buffer_class=PrioritizedClockReplayBuffer)
    model.learn(400)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = MaskableDQN.load(tmp_path / "model", env=toy_vec(), device="cpu")
    loaded.load_replay_buffer(tmp_path / "buffer")
    updates, steps = loaded._n_updates, loaded.replay_buffer.head
    assert (updates, loaded.num_timesteps) == (model._n_updates, 400)
    loaded.learn(400, reset_num_timesteps=False)
    assert loaded.num_timesteps == 800
    assert loaded._n_updates > updates
    assert loaded.replay_buffer.head == steps + 100


def test_same_seed_same_weights():
    first, second = (make_model().learn(400) for _ in range(2))
    for one, other in zip(first.q_net.parameters(), second.q_net.parameters(), strict=True):
        assert th.equal(one, other)


def test_tools_of_sb3_and_contrib_work_unmodified(tmp_path):
    model = make_model()
    callback = EvalCallback(
        toy_vec(1),
        eval_freq=50,
        n_eval_episodes=3,
        log_path=str(tmp_path),
        best_model_save_path=str(tmp_path),
        verbose=0,
    )
    model.learn(600, callback=callback)
    assert MaskableDQN.load(tmp_path / "best_model", env=toy_vec(1), device="cpu")
    own = evaluate_policy(model, toy_vec(1), 5)[0]
    assert own == maskable_evaluate_policy(model, toy_vec(1), 5)[0]


def test_toy_environment_is_a_proper_one():
    check_env(ToyDispatch(2, 4), warn=False)


def test_model_that_only_predicts_allocates_no_buffer(tmp_path):
    make_model().save(tmp_path / "model")
    loaded = MaskableDQN.load(tmp_path / "model", device="cpu")
    assert not hasattr(loaded.replay_buffer, "arena")


def test_averaged_weights_answer_and_lag_behind():
    model = make_model(averaging=0.999)
    model.learn(400)
    assert model.policy.acting_net is model.policy.q_net_average
    pairs = zip(model.q_net.parameters(), model.policy.q_net_average.parameters(), strict=True)
    assert any(not th.equal(one, other) for one, other in pairs)
    assert make_model(averaging=None).policy.acting_net is not None


def test_average_of_weights_by_hand():
    model = make_model(averaging=0.9)
    for net, value in ((model.q_net, 1.0), (model.policy.q_net_average, 0.0)):
        for parameter in net.parameters():
            nn.init.constant_(parameter, value)
    model._n_updates = 8  # decay min(0.9, 9/18) = 0.5: early on the average is short
    model._update_average()
    assert model.policy.q_net_average.value_head.bias.item() == pytest.approx(0.5)
    model._n_updates = 1000  # decay 0.9: 0.9 x 0.5 + 0.1 x 1
    model._update_average()
    assert model.policy.q_net_average.value_head.bias.item() == pytest.approx(0.55)


def test_target_network_moves_by_tau_or_is_copied():
    soft, hard = make_model(tau=0.25), make_model(tau=1.0, target_update_interval=8)
    for model in (soft, hard):
        for net, value in ((model.q_net, 1.0), (model.q_net_target, 0.0)):
            for parameter in net.parameters():
                nn.init.constant_(parameter, value)
    soft._update_target()
    assert soft.q_net_target.value_head.bias.item() == 0.25
    hard._setup_learn(100)
    hard._on_step()  # 4 transitions
    assert hard.q_net_target.value_head.bias.item() == 0.0
    hard._on_step()  # 8 transitions
    assert hard.q_net_target.value_head.bias.item() == 1.0


def test_beta_of_prioritized_replay_rises_to_one():
    kwargs = {"beta": 0.4}
    model = make_model(replay_buffer_class=PrioritizedClockReplayBuffer, replay_buffer_kwargs=kwargs)
    assert model.replay_buffer.beta == 0.4
    model.replay_buffer.raise_beta(0.5)  # half of the training is over: 1 - 0.6 x 0.5
    assert model.replay_buffer.beta == pytest.approx(0.7)
    model.learn(400)
    assert model.logger.name_to_value["train/replay_beta"] == pytest.approx(1.0, abs=0.01)


def test_learning_rate_fades_to_its_final_share():
    schedule = FadingSchedule(lambda _: 2.0, 0.05)
    assert [schedule(1.0), schedule(0.5), schedule(0.0)] == pytest.approx([2.0, 1.05, 0.1])


def test_logged_return_is_not_scaled():
    # warm-up only: the same random actions
    models = [make_model(reward_scale=scale, learning_starts=200).learn(160) for scale in (1.0, 1000.0)]
    first, second = ([info["r"] for info in model.ep_info_buffer] for model in models)
    assert first == second
    assert max(first) > 5.0


def test_observation_without_a_mask_is_refused():
    env = ToyDispatch(2, 4)
    env.observation_space = spaces.Dict({k: s for k, s in env.observation_space.spaces.items() if k != "action_mask"})
    with pytest.raises(ValueError, match="action_mask"):
        MaskableDQN("PairPolicy", env, **SMALL)


def test_normalized_environment_is_refused():
    with pytest.raises(ValueError, match="reward_scale"):
        MaskableDQN("PairPolicy", VecNormalize(toy_vec(), norm_obs=False), **SMALL)
