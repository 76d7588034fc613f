"""The prep-pred pattern beside the same code in one process."""
