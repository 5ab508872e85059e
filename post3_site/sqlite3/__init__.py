"""The site's backend of an embedded catalogue: Django's for SQLite, with the catalogue's file kept from other users."""
