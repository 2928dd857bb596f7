"""What a .t7 file can hold beside numbers, strings and arrays."""


class Table(dict):
    """A Lua table: a dict that can be the key of another, by identity.

    Lua has no lists: a list is a table with the keys 1, 2, ..., and its
    strings are `bytes`.

    Example:

    >>> from keras_t2i.formats.torch_values import Table
    >>> key = Table({b"name": b"a bird"})
    >>> {key: 1}[key]
    1
    """

    __slots__ = ()
    __hash__ = object.__hash__


class TorchObject:
    """An object of a Torch class, such as `nn.Linear`: its fields alone.

    Args:
        class_name: string. As in the file; it is never looked up.
        fields: `Table`. The object's fields, their names as `bytes`.
    """

    __slots__ = ("class_name", "fields")

    def __init__(self, class_name: str, fields: Table):
        self.class_name = class_name
        self.fields = fields

    def __repr__(self):
        # Without the fields: networks are large, and refer to themselves.
        return f"TorchObject({self.class_name!r})"


class LuaFunction:
    """Stands where the file has a function, whose code is left unread."""

    __slots__ = ()

    def __repr__(self):
        return "LuaFunction()"
