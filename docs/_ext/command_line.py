"""The directive ``command-line``: the options of a command, from the parser that reads them."""

import argparse
from importlib import import_module

from docutils import nodes
from docutils.parsers.rst import Directive


class CommandLine(Directive):
    """List what a command takes.

    The argument is the function that returns its parser, such as ``bidsapp.cli.parser:build_parser``.
    """

    required_arguments = 1

    def run(self):
        """Return a list of definitions for each group of options, and for each subcommand."""
        module, _, name = self.arguments[0].partition(":")
        return self._parser(getattr(import_module(module), name)())

    def _parser(self, parser):
        usage = nodes.literal_block(text=parser.format_usage().strip())
        usage["language"] = "none"
        found = [usage]
        for group in parser._action_groups:
            actions = [action for action in group._group_actions if action.help != argparse.SUPPRESS]
            commands = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
            options = [action for action in actions if action not in commands]
            if options:
                title = nodes.rubric(text=(group.title or "options").capitalize())
                found += [title, nodes.definition_list("", *map(self._option, options))]
            for command in commands:
                for name, sub in command.choices.items():
                    about = nodes.paragraph(text=sub.description or "")
                    found += [nodes.rubric(text=name), about, *self._parser(sub)]
        return found

    def _option(self, action):
        formatter = argparse.HelpFormatter("")
        metavar = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
        if not action.option_strings:
            metavar = formatter._metavar_formatter(action, action.dest)(1)[0]
        words = [" ".join(filter(None, (name, metavar))) for name in action.option_strings or [""]]
        names = [nodes.literal(text=word) for word in words]
        term = nodes.term()
        for number, name in enumerate(names):
            term += [nodes.Text(", "), name] if number else [name]
        text = (action.help or "").replace("%%", "%")
        return nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph(text=text)))


def setup(app):
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
