"""Integrations for other Django projects that use post3, in addition to its URLs."""
