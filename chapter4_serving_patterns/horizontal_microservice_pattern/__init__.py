"""Ask several small services one question at the same time, and answer with what comes in time."""
