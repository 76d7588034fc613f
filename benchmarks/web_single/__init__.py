"""How fast and how large the web single pattern is, beside a bare app, its own parts and other model servers."""
