"""What a run's numbers give away: one rule a trouble, each with its threshold and the reason for it.

A rule looks at what the run has measured so far and gives a text, which says what was found, what it means
and what to change, or None. Rules look at several updates in a row wherever one rollout alone may be a fluke.

- `memory`: what the rules look at
- `broken`: something is wired wrongly, so that nothing right can be learnt
- `learning`: the parts are right, but learning goes wrong

`rlhf.ppo.diagnostics` asks them.
"""
