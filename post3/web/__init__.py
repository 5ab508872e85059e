"""HTTP concerns that S3, the console and the server share: origins, proxies, header fields, where S3 is mounted."""
