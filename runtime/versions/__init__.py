"""Learnt versions of bundles: the learner beside the work, versions on disk, activation, rollback."""
