"""Tell what a small picture shows, by convolutional networks trained in steps that are not repeated without need."""
