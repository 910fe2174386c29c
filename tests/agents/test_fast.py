"""One decision in NumPy, with few of many pairs scored, and from a file: the same choices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from agents import export
from agents.candidates import DRIVING, Candidates, candidate_pairs
from agents.fast import FastPairNetwork
from agents.maskable_dqn import MaskableDQN
from envs.observation import NUM_PAIR_FEATURES
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from tests.agents.test_pair_network import network, packed_form, random_obs
from tests.agents.toy import ToyDispatch

ROOT = Path(__file__).resolve().parents[2]

KINDS = [{}, {"pair_mixing": True}, {"mixing_layers": 0}, {"mixing_layers": 2, "width": 32}, {"dueling": True}]


def single(obs: dict, row: int) -> dict[str, np.ndarray]:
    return {key: np.asarray(value)[row] for key, value in obs.items()}


def perturb(model: MaskableDQN) -> None:
    """Last layers start at zero, and every layer before them would be hidden."""
    th.manual_seed(0)
    nets: tuple[Any, ...] = (model.q_net, model.policy.q_net_average)
    for net in nets:
        for head in (net.score_head, net.wait_head):
            th.nn.init.normal_(head.weight, std=0.05)


@pytest.fixture(scope="module")
def states() -> dict[str, np.ndarray]:
    """Every decision of two made-up days of 12 drivers and 40 slots, played by the immediate reward."""
    bookings: dict[str, Any] = {"num_initial": [40, 40], "num_more": [8, 16]}
    reward = RewardFunction.load("v2")
    env = DispatchVecEnv(1, "short_shift", reward, seed=3, num_drivers=12, max_bookings=40, **bookings)
    observation: Any = env.reset()
    seen = []
    for _ in range(48):
        seen.append({key: array.copy() for key, array in observation.items()})
        priced = np.where(observation["action_mask"][0, 1:], observation["pair_reward"][0], -9.0)
        observation = env.step(np.array([1 + priced.argmax() if priced.max() > -9.0 else 0]))[0]
    return {key: np.concatenate([one[key] for one in seen]) for key in seen[0]}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "mixing"])
def model(request, states) -> MaskableDQN:
    env = DispatchVecEnv(1, "short_shift", RewardFunction.load("v2"), num_drivers=12, max_bookings=40)
    kwargs = {"width": 16, "pair_mixing": request.param}
    model = MaskableDQN("PairPolicy", env, device="cpu", buffer_size=2, policy_kwargs=kwargs)
    perturb(model)
    return model


@pytest.mark.parametrize("kwargs", KINDS)
def test_numpy_scores_are_the_networks(kwargs):
    net, obs = network(**kwargs, pair_reward_scale=2.0), random_obs()
    fast = FastPairNetwork.of(net)
    with th.no_grad():
        q = net(obs).numpy()
    for row in range(len(q)):
        found = fast.advantages(single(obs, row))
        # V is the same for all actions: differences to waiting leave it out
        expected = q[row, 1 + found.at] - q[row, 0]
        assert found.at.tolist() == np.flatnonzero(obs["action_mask"][row, 1:]).tolist()
        assert found.pairs - found.wait == pytest.approx(expected, abs=1e-4)
        assert fast.action(single(obs, row)) == q[row].argmax()


def test_numpy_network_follows_the_weights_while_they_are_trained():
    net, obs = network(), single(random_obs(), 0)
    fast = FastPairNetwork.of(net)
    before = fast.advantages(obs).pairs
    with th.no_grad():
        net.score_head.bias += 1.0
    assert fast.advantages(obs).pairs == pytest.approx(before + 1.0, abs=1e-5)


def test_immediate_reward_can_be_left_out():
    net, obs = network(use_pair_reward=False), random_obs()
    fast = FastPairNetwork.of(net)
    with th.no_grad():
        best = net(obs).argmax(dim=1).tolist()
    for key in ("pair_reward", "wait_reward"):
        del obs[key]
    assert [fast.action(single(obs, row)) for row in range(len(best))] == best


def test_feasible_pair_of_an_absent_driver_is_an_error():
    obs = {key: np.zeros(space.shape, space.dtype) for key, space in ToyDispatch().observation_space.spaces.items()}
    obs["action_mask"][1] = 1
    with pytest.raises(IndexError, match="absent"):
        FastPairNetwork.of(network()).action(obs)


def test_rows_with_other_features_are_refused():
    obs = single(random_obs(), 0)
    obs["bookings"] = obs["bookings"][:, :-1]
    with pytest.raises(ValueError, match="trained on 6 features per row of 'bookings'"):
        FastPairNetwork.of(network()).action(obs)


@pytest.mark.parametrize("kwargs", KINDS)
def test_greedy_action_of_one_observation_is_the_best_of_all_values(kwargs):
    net, obs = network(**kwargs), random_obs()
    with th.no_grad():
        best = net(obs).argmax(dim=1)
        for row in range(len(best)):
            one = {key: value[row : row + 1] for key, value in obs.items()}
            assert net._predict(one).tolist() == net(one).argmax(dim=1).tolist() == [int(best[row])]
            assert net._predict(packed_form(one)).tolist() == [int(best[row])]


def test_nothing_feasible_is_to_wait():
    obs = {key: th.zeros(1, *(box.shape or ())) for key, box in ToyDispatch().observation_space.spaces.items()}
    assert network()._predict(obs).tolist() == [0]
    assert FastPairNetwork.of(network()).action(single(obs, 0)) == 0


# --- candidates -----------------------------------------------------------------------------------------------------
def test_candidates_are_the_best_drivers_of_each_booking():
    # Drivers 0-3 (rows), bookings 0-1 (columns), one kept by each measure. Booking 0: driver 1 pays most, driver 3
    # drives least. Booking 1: drivers 0 and 2 pay the same, 2 drives less; driver 3 pays and drives best but can't.
    reward = np.array([[0.1, 0.5], [0.9, 0.2], [0.1, 0.5], [0.2, 0.9]], np.float32)
    driving = np.array([[0.5, 0.4], [0.6, 0.9], [0.5, 0.3], [0.1, 0.0]], np.float32)
    feasible = np.array([[1, 1], [1, 1], [1, 1], [1, 0]], bool)
    pairs = np.zeros((8, NUM_PAIR_FEATURES), np.float32)
    pairs[:, DRIVING] = driving.reshape(-1)
    kept = candidate_pairs(feasible.reshape(-1), pairs, reward.reshape(-1), 2, 1)
    assert kept.tolist() == [1 * 2 + 0, 2 * 2 + 1, 3 * 2 + 0]
    by_driving = candidate_pairs(feasible.reshape(-1), pairs, np.zeros(0, np.float32), 2, 2)
    # booking 0: drivers 3 and 0 (before 2, as far), booking 1: drivers 2 and 0
    assert by_driving.tolist() == [0, 1, 5, 6]


def test_up_to_the_limit_every_pair_is_scored(model, states):
    num_feasible = states["action_mask"][:, 1:].sum(axis=1)
    limit = int(num_feasible.max())
    fast = FastPairNetwork.of(model.policy.acting_net, Candidates(above=limit, per_booking=1))
    for row in range(len(num_feasible)):
        assert len(fast.advantages(single(states, row)).at) == num_feasible[row]


def test_default_limit_leaves_small_fleets_alone(model, states):
    assert model.policy.candidates.above > 20 * 60
    q = model.q_values(states)
    assert (model.predict(states, deterministic=True)[0] == q.argmax(axis=1)).all()


def test_candidates_keep_the_scores_they_have_among_all(model, states):
    net = model.policy.acting_net
    few, every = FastPairNetwork.of(net, Candidates(above=50, per_booking=2)), FastPairNetwork.of(net)
    row = int(states["action_mask"].sum(axis=1).argmax())
    pruned, full = few.advantages(single(states, row)), every.advantages(single(states, row))
    assert len(pruned.at) < len(full.at) / 2
    assert pruned.pairs == pytest.approx(full.pairs[np.searchsorted(full.at, pruned.at)], abs=1e-5)
    assert pruned.wait == pytest.approx(full.wait, abs=1e-6)


def test_few_pairs_are_scored_and_the_choice_is_the_same_in_most_states(model, states):
    model.policy.candidates = None
    q = model.q_values(states)
    all_scored = model.predict(states, deterministic=True)[0]
    model.policy.candidates = Candidates(above=40, per_booking=2)
    few_scored = model.predict(states, deterministic=True)[0]
    del model.policy.candidates  # the default again
    is_large = states["action_mask"][:, 1:].sum(axis=1) > 40
    assert is_large.sum() > 20
    rows = np.arange(len(q))
    assert states["action_mask"][rows, few_scored].all()
    assert (few_scored == all_scored)[~is_large].all()
    is_as_good = q[rows, few_scored] >= q[rows, all_scored] - 1e-5  # drivers that stand side by side tie
    assert is_as_good[is_large].mean() > 0.8  # of random weights; trained ones agree with what the measures say more


def test_rows_are_pruned_as_they_would_be_alone(model, states):
    model.policy.candidates = Candidates(above=40, per_booking=1)
    together = model.predict(states, deterministic=True)[0]
    alone = [int(model.predict(single(states, row), deterministic=True)[0]) for row in range(len(together))]
    del model.policy.candidates
    assert together.tolist() == alone


def test_candidates_ask_for_the_features_they_look_at():
    net, obs = network(), single(random_obs(), 0)
    with pytest.raises(ValueError, match="candidates to None"):
        FastPairNetwork.of(net, Candidates(above=1)).action(obs)
    with pytest.raises(ValueError, match="at least one driver"):
        Candidates(per_booking=0)


# --- export ---------------------------------------------------------------------------------------------------------
def test_exported_model_chooses_as_the_model(model, states, tmp_path):
    loaded = export.load(export.export(model, tmp_path / "model.npz"))
    expected = model.predict(states, deterministic=True)[0]
    assert (loaded.predict(states)[0] == expected).all()
    assert int(loaded.predict(single(states, 5))[0]) == expected[5]
    only_wait = np.zeros_like(states["action_mask"])
    only_wait[:, 0] = 1
    assert (loaded.predict(states, action_masks=only_wait)[0] == 0).all()
    loaded.candidates = Candidates(above=40, per_booking=1)
    assert states["action_mask"][np.arange(len(expected)), loaded.predict(states)[0]].all()
    with pytest.raises(ValueError, match="greedy"):
        loaded.predict(states, deterministic=False)


def test_exported_model_tells_the_prices_that_it_must_be_shown(tmp_path):
    prices = {"price_occupied_min": 0.5, "threshold": 20.0}
    env = DispatchVecEnv(1, "short_shift", RewardFunction.load("v2", prices=prices))
    priced = MaskableDQN("PairPolicy", env, device="cpu", buffer_size=2, policy_kwargs={"width": 16})
    assert export.load(export.export(priced, tmp_path / "priced.npz")).prices == prices


def test_exported_model_serves_any_fleet(tmp_path):
    small = MaskableDQN("PairPolicy", ToyDispatch(5, 15), device="cpu", buffer_size=2)
    perturb(small)
    loaded = export.load(export.export(small, tmp_path / "model.npz"))
    obs = random_obs(n=8, m=20)
    net = network(8, 20, pair_mixing=True, pair_reward_scale=small.policy.acting_net.pair_reward_scale)
    net.load_state_dict(small.policy.acting_net.state_dict())
    with th.no_grad():
        expected = net(obs).argmax(dim=1).tolist()
    assert loaded.predict({key: value.numpy() for key, value in obs.items()})[0].tolist() == expected


def test_export_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = MaskableDQN("PairPolicy", ToyDispatch(2, 4), device="cpu", buffer_size=2)
    small.save("run/model.zip")
    assert export.main(["run/model.zip"]) == 0
    # not beside the model, which may be one of the project's own
    assert capsys.readouterr().out.strip() == "Exported: logs/exported/run-model.npz"
    assert [path.name for path in Path("run").iterdir()] == ["model.zip"]
    assert export.main(["run/model.zip", "elsewhere.npz"]) == 0
    obs, _ = ToyDispatch(2, 4).reset(seed=0)
    assert export.load("elsewhere.npz").predict(obs)[0] == small.predict(obs, deterministic=True)[0]
    assert export.main(["nothing.zip"]) == 2


def test_exported_model_needs_no_pytorch(tmp_path):
    small = MaskableDQN("PairPolicy", ToyDispatch(2, 4), device="cpu", buffer_size=2)
    obs, _ = ToyDispatch(2, 4).reset(seed=0)
    np.savez(tmp_path / "obs.npz", **obs)
    path = export.export(small, tmp_path / "model.npz")
    code = (
        "import sys; import numpy as np; from agents import export\n"
        f"obs = dict(np.load({str(tmp_path / 'obs.npz')!r}))\n"
        f"print(export.load({str(path)!r}).predict(obs)[0], 'torch' in sys.modules, 'stable_baselines3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(small.predict(obs, deterministic=True)[0]), "False", "False"]


def test_what_cannot_be_exported_or_loaded_is_refused(tmp_path):
    flat = MaskableDQN("MaskableMlpPolicy", ToyDispatch(2, 4), device="cpu", policy_kwargs={"net_arch": [8]})
    with pytest.raises(ValueError, match="expected a model with PairPolicy, got MaskableMlpPolicy"):
        export.export(flat, tmp_path / "flat.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(1))
    with pytest.raises(ValueError, match="not an exported model"):
        export.load(tmp_path / "other.npz")
