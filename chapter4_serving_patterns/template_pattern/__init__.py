"""Make a new service from one that works: its words become variables, and a model's own metadata fills them in."""
