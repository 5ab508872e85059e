from django.db import models


class Document(models.Model):
    title = models.CharField(max_length=200)
    file = models.FileField(upload_to="%Y/%m")

    def __str__(self) -> str:
        return self.title
