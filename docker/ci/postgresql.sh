#!/bin/sh
# Start a PostgreSQL for the tests of a job at the host, and name it to the job's next steps: `docker/ci/postgresql.sh 17`.
# As many connections as several servers at once need.
set -eu
docker run --detach --name postgresql --publish 127.0.0.1:5432:5432 --shm-size 256m \
	--env POSTGRES_USER=post3 --env POSTGRES_PASSWORD=post3 --env POSTGRES_DB=postgres \
	"postgres:$1-bookworm" -c max_connections=400
# By TCP: while it makes its first database, the image's server listens on its socket only.
tries=60
until docker exec postgresql pg_isready -q -h 127.0.0.1 -U post3; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || { docker logs postgresql >&2; exit 1; }
	sleep 1
done
echo "POST3_TEST_POSTGRESQL_URL=postgresql://post3:post3@127.0.0.1:5432/postgres" >> "$GITHUB_ENV"
