"""Plans made beside the simulator: one plan, one search, routing solvers, the hindsight plan and its bound."""
