#!/bin/sh
# curl against post3: signed by curl itself (--aws-sigv4, curl 7.86 or newer), and with presigned URLs.
#
#     sh docs/examples/curl.sh
#
# The presigned URLs come from post3.sdk. PYTHON is the interpreter in which it is installed.
set -eu

: "${AWS_ACCESS_KEY_ID:?set it to an access key of the server}" "${AWS_SECRET_ACCESS_KEY:?set it to the secret of that key}"
endpoint="${AWS_ENDPOINT_URL:-http://127.0.0.1:9000}"
bucket="example-curl-$(date +%s)-$$"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

# signed METHOD PATH [curl's options]: the key is passed in a file, because every user can read command lines.
printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$directory/key"
signed() {
    method=$1 path=$2
    shift 2
    # --path-as-is: otherwise curl removes `..` and `.` from a key.
    curl -fsS --path-as-is -K "$directory/key" --aws-sigv4 "aws:amz:us-east-1:s3" -X "$method" "$@" "$endpoint$path"
}

# The signature covers the SHA-256 of the body, or the body is declared as unsigned (UNSIGNED-PAYLOAD).
sha256() { sha256sum "$1" | cut -d ' ' -f 1; }
nothing=$(sha256 /dev/null)

echo "Hello from curl" >"$directory/hello.txt"

signed PUT "/$bucket" -H "x-amz-content-sha256: $nothing"
signed PUT "/$bucket/notes/hello.txt" --data-binary "@$directory/hello.txt" -H "Content-Type: text/plain" \
    -H "x-amz-meta-author: me" -H "x-amz-content-sha256: $(sha256 "$directory/hello.txt")"
printf "Signed GET: "
signed GET "/$bucket/notes/hello.txt" -H "x-amz-content-sha256: $nothing"
signed HEAD "/$bucket/notes/hello.txt" --head -H "x-amz-content-sha256: $nothing" | grep -i '^x-amz-meta-author'
range=$(signed GET "/$bucket/notes/hello.txt" -H "Range: bytes=0-4" -H "x-amz-content-sha256: $nothing")
echo "Range: $range"
# curl signs the query as it is written, so sort the names and percent-encode the values.
listing=$(signed GET "/$bucket?list-type=2&prefix=notes%2F" -H "x-amz-content-sha256: $nothing")
echo "Listed: $(echo "$listing" | sed -n 's/.*<Key>\(.*\)<\/Key>.*/\1/p')"

presign() { "${PYTHON:-python3}" -c 'import sys
from post3.sdk import Client
print(getattr(Client(), f"presign_{sys.argv[1]}")(sys.argv[2], sys.argv[3], expires=60))' "$@"; }

url=$(presign put "$bucket" notes/presigned.txt)
echo "By a presigned URL" >"$directory/presigned.txt"
curl -fsS -T "$directory/presigned.txt" "$url"
url=$(presign get "$bucket" notes/presigned.txt)
printf "Presigned GET: "
curl -fsS "$url"
echo "Without a signature: $(curl -sS -o "$directory/refused" -w '%{http_code}' "$endpoint/$bucket/notes/hello.txt")"

for key in notes/hello.txt notes/presigned.txt; do
    signed DELETE "/$bucket/$key" -H "x-amz-content-sha256: $nothing"
done
signed DELETE "/$bucket" -H "x-amz-content-sha256: $nothing"
echo "Everything is deleted"
