"""Answer at once by a fast model, and later by a better one, unless the fast one is sure enough."""
