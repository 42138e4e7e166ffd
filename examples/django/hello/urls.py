from django.http import HttpResponse
from django.urls import path

from hello.views import thumbnail

urlpatterns = [
    path("", lambda request: HttpResponse("Hello from Django\n", content_type="text/plain")),
    path("thumbnail", thumbnail),
]
