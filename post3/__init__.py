"""post3: an S3 object store as a Django app."""

__version__ = "0.1.0"
