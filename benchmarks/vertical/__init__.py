"""The vertical microservice pattern: each stage, the chain of them, and the same steps in one process."""
