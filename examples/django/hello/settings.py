import os

import dj_database_url

# An application with sessions takes this from a Secret.
SECRET_KEY = os.environ.get("SECRET_KEY", "not used for anything")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "hello.urls"
WSGI_APPLICATION = "hello.wsgi.application"
INSTALLED_APPS = ["django.contrib.staticfiles", "rest_framework"]
MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware"]
# With a Postgres beside it: DATABASE_URL comes from a databaseRef.
DATABASES = {"default": dj_database_url.config(default="sqlite://:memory:")}
STATIC_URL = "static/"
STATIC_ROOT = "staticfiles"
# Nobody logs in here.
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None}
