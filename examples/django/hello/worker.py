"""Work that nobody waits for: `celery --app hello.worker worker` as a Service of its own."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hello.settings")
app = Celery("hello")
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.task
def greet(name):
    return f"Hello, {name}"
