"""Release: how a model gets into a running service."""
