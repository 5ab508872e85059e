"""What every part that speaks HTTP must know: origins, proxies, header fields, where S3 is mounted."""
