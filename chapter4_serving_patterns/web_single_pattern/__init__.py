"""Serve one model from one web process: decode, check, predict and answer in the same place."""
