"""What the prediction cache gives and costs: hits, misses, traffic of all kinds, and the stampede."""
