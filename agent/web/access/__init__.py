"""Who may come in: passwords, tokens, sessions, and the Guard that stands before everything else."""
