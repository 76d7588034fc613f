"""The asynchronous pattern: from enqueueing to the result, and its throughput beside that of the model server alone."""
