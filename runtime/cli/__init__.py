"""The command `patchedge`: one file per verb. Heavy imports stand inside the verbs, so that `--help` is instant."""
