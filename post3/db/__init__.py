"""The layer between the catalogue's statements and the database: prepared statements, outages, rollbacks."""
