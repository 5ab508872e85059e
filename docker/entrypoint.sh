#!/bin/sh
# What the container runs: `gunicorn [its options]` is the server, by default; a program of the image is run as it is;
# anything else is a command of manage.py: migrate, run_worker, create_api_key, serve.
# Each takes the place of this shell, so that it is told when the container is to stop.
set -eu

case "${1:-gunicorn}" in
gunicorn)
    [ $# -eq 0 ] || shift
    exec gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker "$@" post3_site.asgi:application
    ;;
python | uvicorn | sh | bash)
    exec "$@"
    ;;
*)
    exec python manage.py "$@"
    ;;
esac
