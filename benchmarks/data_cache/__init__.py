"""The data cache pattern beside no cache, and beside a JSON list of floats in Redis."""
