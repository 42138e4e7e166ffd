from io import BytesIO

from PIL import Image, UnidentifiedImageError
from rest_framework.decorators import api_view, parser_classes
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response

from django.http import HttpResponse

LARGEST = (128, 128)


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
