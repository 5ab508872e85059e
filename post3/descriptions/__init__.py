"""Descriptions beside the bytes, from which a lost catalogue is rebuilt."""
