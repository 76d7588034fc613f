"""Tests of every folder share the fixtures of mlsys.testing."""

pytest_plugins = ["mlsys.testing"]
