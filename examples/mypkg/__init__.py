"""
A package of one's own beside the dispatch trainer. Importing it makes known what it brings.

    PYTHONPATH=examples python train.py --gym-packages mypkg ...
    PYTHONPATH=examples python evaluate.py --gym-packages mypkg ...
"""

import gymnasium as gym
from rl_zoo3.utils import ALGOS

from baselines.registry import register_rule
from mypkg.algorithm import BoltzmannDQN
from mypkg.rule import SoonestPickup

if "OneVan-v0" not in gym.registry:
    gym.register("OneVan-v0", entry_point="mypkg.environment:OneVan", max_episode_steps=50)
ALGOS["boltzmann_dqn"] = BoltzmannDQN
register_rule(SoonestPickup)
