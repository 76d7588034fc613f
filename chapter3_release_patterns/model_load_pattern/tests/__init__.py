"""Tests of the model load pattern."""
