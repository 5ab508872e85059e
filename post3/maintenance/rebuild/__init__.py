"""Rebuilding a catalogue from the descriptions beside the bytes."""
