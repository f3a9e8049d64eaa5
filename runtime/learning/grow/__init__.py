"""Learning on: a bundle grows by new normal pictures, and a safety report says whether it may serve."""
