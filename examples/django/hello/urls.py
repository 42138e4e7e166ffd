from django.http import HttpResponse
from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from hello.views import thumbnail

urlpatterns = [
    path("", lambda request: HttpResponse("Hello from Django\n", content_type="text/plain")),
    path("schema", SpectacularAPIView.as_view()),
    path("thumbnail", thumbnail),
]
