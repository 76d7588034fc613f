"""Serving: how predictions reach those who ask."""
