"""Serve a model from a container on a machine of your own: build, send, start, watch, and go back if it fails."""
