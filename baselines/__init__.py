"""Policies to beat: the rules that companies use, tuned where they can be tuned, and re-planners with real solvers."""

from baselines.policy import Policy
from baselines.registry import RULE_NAMES, make_rules, rule_class
from baselines.replanners import REPLANNERS
from baselines.rules import RULES
from baselines.tuned import tuned_settings

__all__ = ["REPLANNERS", "RULES", "RULE_NAMES", "Policy", "make_rules", "rule_class", "tuned_settings"]
