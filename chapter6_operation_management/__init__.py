"""Operation management: how a running service is changed, compared and protected."""
