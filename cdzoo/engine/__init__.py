"""Training a model on pairs, and using it on a pair."""
