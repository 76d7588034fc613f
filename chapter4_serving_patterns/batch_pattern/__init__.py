"""Predict what lies in a database by a scheduled job, in chunks that any number of processes share: each row once."""
