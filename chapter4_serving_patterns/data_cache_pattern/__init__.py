"""Fetch and prepare an item's data once, keep the tensor by item id, and start every later prediction from there."""
