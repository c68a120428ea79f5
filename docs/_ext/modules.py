"""The directive ``modules``: a section for every module of a package, so that a new one is never forgotten."""

import pkgutil
from importlib import import_module

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList


class Modules(Directive):
    """Document the public names of all modules of a package, by the alphabet; on a page of Markdown."""

    required_arguments = 1

    def run(self):
        """Return what ``automodule`` makes of each module."""
        package = import_module(self.arguments[0])
        found = []
        for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
            name = f"{package.__name__}.{module}"
            section = nodes.section(ids=[nodes.make_id(name)])
            section += nodes.title("", "", nodes.literal(text=name))
            lines = ["```{eval-rst}", f".. automodule:: {name}", "   :members:", "```"]
            self.state.nested_parse(StringList(lines, source=name), self.content_offset, section)
            found.append(section)
        return found


def setup(app):
    """Register the directive."""
    app.add_directive("modules", Modules)
    return {"parallel_read_safe": True}
