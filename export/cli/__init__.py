"""The command `patchedge-export`: one file per verb."""
