"""Keeps a step that is not finite out of weights, optimizer state and buffers."""
