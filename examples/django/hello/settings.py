import os

import dj_database_url
import sentry_sdk

# Without a SENTRY_DSN it sends nothing.
sentry_sdk.init(dsn=os.environ.get("SENTRY_DSN"))

# An application with sessions takes this from a Secret.
SECRET_KEY = os.environ.get("SECRET_KEY", "not used for anything")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "hello.urls"
WSGI_APPLICATION = "hello.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "corsheaders",
    "django_filters",
    "drf_spectacular",
    "rest_framework",
]
MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
]
# With a Postgres beside it: DATABASE_URL comes from a databaseRef. The same for a Redis.
DATABASES = {"default": dj_database_url.config(default="sqlite://:memory:")}
REDIS_URL = os.environ.get("REDIS_URL")
if REDIS_URL:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
CELERY_BROKER_URL = REDIS_URL
STATIC_URL = "static/"
STATIC_ROOT = "staticfiles"
CORS_ALLOWED_ORIGINS = os.environ.get("CORS_ALLOWED_ORIGINS", "").split()
# Nobody logs in here.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
