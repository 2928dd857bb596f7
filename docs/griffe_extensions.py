"""How the site's API reference reads the sources."""

import re

import griffe

_EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?P=indent) *\S.*)*", re.M)


class ReadableReference(griffe.Extension):
    """Shows examples as code, and exported names as what they are."""

    def on_package(self, *, pkg, **_):
        for member in list(_members(pkg)):
            if member.docstring:
                member.docstring.value = _EXAMPLE.sub(
                    _fenced, member.docstring.value
                )
            if member.is_module:
                _show_exports(member)


def _members(parent):
    yield parent
    for member in parent.members.values():
        if not member.is_alias:
            yield from _members(member)


def _fenced(match):
    # Markdown takes `>>>` for quotations.
    indent = match["indent"]
    return f"{indent}```pycon\n{match[0]}\n{indent}```"


def _show_exports(package):
    # After `from package.name import name` the function hides the module. Here,
    # where nothing is imported, the module hides the function.
    for name in map(str, package.exports or ()):
        module = package.members.get(name)
        if module is None or module.is_alias or not module.is_module:
            continue
        if name in module.members:
            package.members[name] = griffe.Alias(
                name, module.members[name], parent=package
            )
