import os

# An application with sessions takes this from a Secret.
SECRET_KEY = os.environ.get("SECRET_KEY", "not used for anything")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "hello.urls"
WSGI_APPLICATION = "hello.wsgi.application"
INSTALLED_APPS = ["django.contrib.staticfiles"]
STATIC_URL = "static/"
STATIC_ROOT = "staticfiles"
