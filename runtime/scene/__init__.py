"""Picture checks before scoring: frozen, dark, blurred and moved cameras."""
