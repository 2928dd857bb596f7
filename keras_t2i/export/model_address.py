"""The address of a served model."""

import dataclasses
import ipaddress
import re
import urllib.parse

_ADDRESS = re.compile(
    r"(?P<scheme>https?|grpc)://(?P<host>[^/?#]+)/v1/models/(?P<name>[^/:?#]+)"
    r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:?#]+))?/?"
)


@dataclasses.dataclass(frozen=True)
class ModelAddress:
    """Where a model is served, and which version of it is asked.

    Attributes:
        scheme: string. `"http"`, `"https"` or `"grpc"`.
        host: string. With the port.
        name: string. The model's.
        version: int, or `None` for that which the server chooses.
        label: string, or `None`. A version's label.
    """

    scheme: str
    host: str
    name: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def parse(cls, address: str) -> "ModelAddress":
        """Reads `SCHEME://HOST:PORT/v1/models/NAME`.

        `/versions/N` or `/labels/LABEL` may follow.

        Args:
            address: string.

        Raises:
            ValueError: it has another form.

        Example:

        >>> from keras_t2i.export.model_address import ModelAddress
        >>> address = ModelAddress.parse("http://a:8501/v1/models/b/versions/3")
        >>> address.name, address.version
        ('b', 3)
        """
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise ValueError(
                "The address of a served model must have the form "
                "http://HOST:PORT/v1/models/NAME (or https, or grpc), with "
                "/versions/N or /labels/LABEL behind it where another version "
                f"than the newest is meant. Received: {address!r}"
            )
        parts = match.groupdict()
        if parts["version"] is not None:
            parts["version"] = int(parts["version"])
        return cls(**parts)

    @property
    def is_this_machine(self) -> bool:
        """Whether the host is this machine itself, where no proxy is asked."""
        try:
            name = urllib.parse.urlsplit(f"//{self.host}").hostname
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return self.host.partition(":")[0].lower() == "localhost"

    @property
    def url(self) -> str:
        """The model's resource in the REST API."""
        url = f"{self.scheme}://{self.host}/v1/models/{self.name}"
        if self.version is not None:
            url += f"/versions/{self.version}"
        if self.label is not None:
            url += f"/labels/{self.label}"
        return url
