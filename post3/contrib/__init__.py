"""What other Django projects use of post3 beside its URLs."""
