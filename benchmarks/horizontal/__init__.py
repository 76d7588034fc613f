"""The horizontal microservices: what the proxy costs, and what cuts the tail of one slow service."""
