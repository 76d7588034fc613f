"""Operation: how a running service is watched."""
