"""Kill learner, worker and parent at random instants of learning and rollback, and look what serves then."""
