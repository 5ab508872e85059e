#!/bin/sh
# What the container runs. `gunicorn [options]` is the server, and the default. python, uvicorn, sh and bash run as
# given. Anything else is a command of manage.py: migrate, run_worker, create_api_key, serve.
# Each replaces this shell, so that it receives the signal when the container stops.
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
