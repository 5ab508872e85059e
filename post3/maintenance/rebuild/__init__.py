"""Rebuild a lost catalogue from the descriptions beside the bytes."""
