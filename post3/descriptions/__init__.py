"""Descriptions of objects and buckets beside the bytes, from which a lost catalogue can be rebuilt."""
