#!/bin/sh
# The AWS CLI against post3. After `pip install awscli` and with three variables set, it works as with Amazon S3.
#
#     sh docs/examples/aws_cli.sh
set -eu

: "${AWS_ACCESS_KEY_ID:?set it to an access key of the server}" "${AWS_SECRET_ACCESS_KEY:?set it to the secret of that key}"
export AWS_ENDPOINT_URL="${AWS_ENDPOINT_URL:-http://127.0.0.1:9000}"
export AWS_DEFAULT_REGION=us-east-1
export AWS_PAGER=""

command -v aws >/dev/null || { echo "There is no aws command: pip install awscli" >&2; exit 1; }

bucket="example-cli-$(date +%s)-$$"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# By default, version 1 of the CLI presigns with Signature Version 2. To change this permanently:
# aws configure set default.s3.signature_version s3v4
export AWS_CONFIG_FILE="$directory/config"
aws configure set default.s3.signature_version s3v4

mkdir -p "$directory/documents/2026"
echo "Hello from the AWS CLI" >"$directory/documents/hello.txt"
# Over 8 MiB, so that it is sent in parts.
head -c 10000000 /dev/urandom >"$directory/documents/2026/large.bin"

aws s3 mb "s3://$bucket"
aws s3 sync --only-show-errors "$directory/documents" "s3://$bucket/documents"
echo "Listed:"
aws s3 ls --recursive "s3://$bucket"
aws s3 sync --only-show-errors "s3://$bucket" "$directory/back"
diff -r "$directory/documents" "$directory/back/documents"
echo "Everything came back the same"

# s3api has every operation under its S3 name.
aws s3api put-object --bucket "$bucket" --key note --body "$directory/documents/hello.txt" \
    --content-type text/plain --metadata author=me --query ETag --output text
aws s3api head-object --bucket "$bucket" --key note --query '[ContentType, Metadata.author]' --output text

url=$(aws s3 presign "s3://$bucket/note")
printf "By a presigned URL: "
curl -fsS "$url"

aws s3 rb --force "s3://$bucket"
