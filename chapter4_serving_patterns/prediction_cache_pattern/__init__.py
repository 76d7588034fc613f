"""Answer from memory what the model has said before: one call for all who wait, nothing of a model that is gone."""
