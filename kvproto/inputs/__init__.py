"""Inputs: how a URL becomes entries."""
