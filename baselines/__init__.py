"""Policies to beat: the rules that companies use, tuned where they can be tuned."""

from baselines.policy import Policy
from baselines.rules import RULE_NAMES, RULES, make_rules, rule_class
from baselines.tuned import tuned_settings

__all__ = ["RULES", "RULE_NAMES", "Policy", "make_rules", "rule_class", "tuned_settings"]
