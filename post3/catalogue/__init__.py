"""The hand-written statements on the catalogue, and the plain rows that they return."""
