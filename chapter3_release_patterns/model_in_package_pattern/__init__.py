"""Release a model as a versioned Python package, and serve every model package that is installed."""
