from io import BytesIO

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from PIL import Image, UnidentifiedImageError
from rest_framework.decorators import api_view, parser_classes
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response

from django.http import HttpResponse

LARGEST = (128, 128)


@extend_schema(
    request={"multipart/form-data": {"properties": {"picture": {"type": "string", "format": "binary"}}}},
    responses={(200, "image/jpeg"): OpenApiTypes.BINARY},
)
@api_view(["GET", "POST"])
@parser_classes([MultiPartParser])
def thumbnail(request):
    """Makes a small picture of the one that is sent as `picture`."""
    if request.method == "GET":
        return Response({"largest": LARGEST})
    try:
        picture = Image.open(request.FILES["picture"]).convert("RGB")
    except (KeyError, UnidentifiedImageError) as error:
        raise ValidationError({"picture": "send a picture"}) from error
    picture.thumbnail(LARGEST)
    small = BytesIO()
    picture.save(small, "JPEG")
    return HttpResponse(small.getvalue(), content_type="image/jpeg")
