"""What make needs before and beside the code: the environment, the lock, the look at the machine."""
