"""Ask a chain of services in order, each within what is left of one deadline, until one of them ends it."""
