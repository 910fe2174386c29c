"""
A trained pair network as one small file for deciding: ``python -m agents.export MODEL.zip [MODEL.npz]``.

The file holds the weights that answer ``predict`` (the averaged ones, where the model has them) and nothing of the
training. `load` makes of it what chooses as the model does (`agents.fast`), for any fleet. Loading and choosing import
neither PyTorch nor Stable-Baselines3: only exporting does.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.candidates import Candidates
from agents.fast import FastPairNetwork
from agents.greedy import GreedyPolicy
from agents.masking import MASK_KEY, as_booleans, mask_within

if TYPE_CHECKING:
    from agents.maskable_dqn import MaskableDQN

FORMAT = 1
SETTINGS = "settings"  # the name of the entry beside the weights
KEPT = ("pair_reward_scale", "use_pair_reward")
FOLDER = Path("logs/exported")  # never among the models of the project


class ExportedPolicy(GreedyPolicy):
    """
    Chooses as the model did that was exported, up to the rounding of single precision; answers ``predict`` as it does.

    ``candidates`` is the policy's option of the same name (`agents.policies.PairPolicy`), ``horizon_min`` the model's.
    ``prices`` are those that the model was shown pairs corrected by, and must be shown by (``RewardFunction.load``).
    """

    def __init__(
        self, network: FastPairNetwork, horizon_min: float | None = None, prices: dict[str, float] | None = None
    ) -> None:
        self.network, self.horizon_min, self.prices = network, horizon_min, prices

    @property
    def candidates(self) -> Candidates | None:
        return self.network.candidates

    @candidates.setter
    def candidates(self, candidates: Candidates | None) -> None:
        self.network.candidates = candidates

    def choose(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        observation = mask_within(observation, self.horizon_min)
        rows = range(len(observation[MASK_KEY]))
        return np.array([self._action({key: observation[key][b] for key in observation}) for b in rows])

    def _action(self, obs: dict[str, np.ndarray]) -> int:
        # Where nothing but waiting is feasible there is nothing to score.
        return self.network.action(obs) if as_booleans(obs[MASK_KEY])[1:].any() else 0


def export(model: MaskableDQN, path: str | Path) -> Path:
    """
    Write a model's network to ``path`` (.npz).

    Raises
    ------
    ValueError
        When the model isn't a pair network, or the path has another suffix.
    """
    from agents.pair_network import PairQNetwork

    path = Path(path)
    net = model.policy.acting_net
    if not isinstance(net, PairQNetwork):
        raise ValueError(f"export: expected a model with PairPolicy, got {type(model.policy).__name__}.")
    if path.suffix != ".npz":
        raise ValueError(f"export: expected a path that ends in .npz, got {path}.")
    kept = {name: getattr(net, name) for name in KEPT}
    settings = json.dumps({"format": FORMAT, **kept, "horizon_min": model.horizon_min, "prices": model.prices})
    weights = {name: tensor.cpu().numpy() for name, tensor in net.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **{SETTINGS: np.array(settings)}, **weights)
    return path


def load(path: str | Path) -> ExportedPolicy:
    """
    Read what `export` wrote.

    Raises
    ------
    ValueError
        When the file is something else, or of another version of this format.
    """
    with np.load(path, allow_pickle=False) as entries:
        arrays = dict(entries)
    if SETTINGS not in arrays:
        raise ValueError(f"{path}: not an exported model. Make one with python -m agents.export.")
    settings = json.loads(str(arrays.pop(SETTINGS)))
    if settings["format"] != FORMAT:
        raise ValueError(f"{path}: format {settings['format']}, this version reads {FORMAT}. Export the model anew.")
    kept = {name: settings[name] for name in KEPT}
    network = FastPairNetwork(arrays, **kept, candidates=Candidates())
    return ExportedPolicy(network, settings.get("horizon_min"), settings.get("prices"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model's zip, such as trained-agents/NAME/Dispatch-v0.zip")
    parser.add_argument("output", type=Path, nargs="?", help=f"default: {FOLDER}/<folder>-<model>.npz")
    args = parser.parse_args(argv)
    if not args.model.is_file():
        print(f"agents.export: there is no file {args.model}.", file=sys.stderr)
        return 2
    from agents.maskable_dqn import MaskableDQN

    model = MaskableDQN.load(args.model, device="cpu", custom_objects={"buffer_size": 1})
    try:
        path = export(model, args.output or FOLDER / f"{args.model.resolve().parent.name}-{args.model.stem}.npz")
    except ValueError as error:
        print(f"agents.export: {error}", file=sys.stderr)
        return 2
    print(f"Exported: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
