"""``camscribe bench``: the same pictures through each captioner, and the agent beside the bare engine."""
