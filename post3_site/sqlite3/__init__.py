"""The site's database backend for SQLite: Django's, with a catalogue file that other users cannot access."""
