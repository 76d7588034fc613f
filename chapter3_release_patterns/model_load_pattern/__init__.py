"""Start without a model: a loader fetches and verifies it, and a new one is swapped in while requests are answered."""
