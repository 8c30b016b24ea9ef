"""From a verb's signature to its command line.

Each verb is one typed Python function with a Google docstring; jsonargparse reads both. This file adds what a person
expects at a shell and jsonargparse leaves out: positional arguments, `--dashes`, bare `--flags` and `a,b` lists.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser

from hilum.errors import ConfigError, UserError
from hilum.lookup import unknown_name

LEAST: Final = {"draws": 1, "permutations": 1, "batch_size": 1, "workers": 0}  # options that count things


def parse(verb: Callable[..., Any], argv: Sequence[str], *, name: str | None = None) -> dict[str, Any]:
    """Arguments of `verb` from the words after its name; `name` is that name, where the function's is not all of it.

    Positional-or-keyword parameters may be given without `--name`, in order; one annotated `tuple[...]` and standing
    last takes all that remain. Keyword-only parameters are options. `--config FILE` reads any of them from YAML.
    """
    name = name or verb.__name__.replace("_", "-")
    parser = build_parser(verb, name)
    words = _normalise(verb, argv)
    _refuse_unknown_choice(verb, words)
    try:
        namespace = parser.parse_args(words)
    except ArgumentError as error:
        raise ConfigError(" ".join(str(error).split()), fix=f"See hilum {name} --help") from error
    values = namespace.as_dict()
    values.pop("config", None)
    for option, least in LEAST.items():
        if isinstance(count := values.get(option), int) and count < least:
            raise ConfigError(f"must be {least} or more, not {count}", where=option, fix=f"See hilum {name} --help")
    return values


def _refuse_unknown_choice(verb: Callable[..., Any], words: Sequence[str]) -> None:
    """Say of a wrong word for an option with few answers which there are; jsonargparse says it in terms of types."""
    hints = get_type_hints(verb)
    for word in words:
        option, equals, value = word[2:].partition("=")
        parts = (hints.get(option), *get_args(hints.get(option)))
        known = [str(choice) for part in parts if get_origin(part) is Literal for choice in get_args(part)]
        if equals and known and value not in (*known, "null"):
            raise unknown_name(value, known, kind="value", where=option)


def run_script(function: Callable[..., Any]) -> None:
    """Run a recipe from the shell: its signature is the command line, a user's fault one line on stderr."""
    try:
        function(**parse(function, sys.argv[1:]))
    except UserError as error:
        sys.stderr.write(f"{function.__name__}: {error}\n")
        raise SystemExit(error.exit_code) from error


def as_words(verb: Callable[..., Any], arguments: Mapping[str, Any]) -> list[str]:
    """The command line that stands for these arguments: the inverse of `parse`, for child processes."""
    words = [verb.__name__.replace("_", "-")]
    defaults = {name: parameter.default for name, parameter in inspect.signature(verb).parameters.items()}
    for name, value in arguments.items():
        if value == defaults[name]:
            continue
        if isinstance(value, dict):
            texts = {key: part if isinstance(part, str) else json.dumps(part) for key, part in value.items()}
            words += [f"--{name}.{key}={text}" for key, text in texts.items()]
        elif isinstance(value, list | tuple):
            words.append(f"--{name}={','.join(map(str, value))}")
        else:
            words.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
    return words


def build_parser(verb: Callable[..., Any], name: str) -> ArgumentParser:
    """The jsonargparse parser of one verb; help texts are the docstring's."""
    positional = " ".join(word.upper() for word in _positional(verb))
    parser = ArgumentParser(
        prog=f"hilum {name}",
        exit_on_error=False,
        usage=f"hilum {name} {positional} [options]" if positional else f"hilum {name} [options]",
        description=inspect.getdoc(verb).split("\n\n")[0] if inspect.getdoc(verb) else None,  # type: ignore[union-attr]
    )
    parser.add_function_arguments(verb, as_group=False)
    parser.add_argument("--config", action="config", help="read options from a YAML or JSON file")
    return parser


def _positional(verb: Callable[..., Any]) -> list[str]:
    kinds = inspect.signature(verb).parameters.values()
    return [p.name for p in kinds if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]


def _normalise(verb: Callable[..., Any], argv: Sequence[str]) -> list[str]:
    hints = get_type_hints(verb)
    flags = {name for name, hint in hints.items() if bool in (hint, *get_args(hint))}
    lists = {name for name, hint in hints.items() if _is_tuple(hint)}
    waiting = _positional(verb)
    words, out = list(argv), list[str]()
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            if word == "-h" or not waiting:
                out.append(word)
            elif _is_tuple(hints[waiting[0]]):  # takes all bare words that follow
                many = [word]
                while words and not words[0].startswith("--"):
                    many.append(words.pop(0))
                out.append(f"--{waiting.pop(0)}=[{', '.join(map(repr, many))}]")
            else:
                out.append(f"--{waiting.pop(0)}={word}")
            continue
        name, equals, value = word[2:].partition("=")
        head, dot, rest = name.partition(".")
        name = head.replace("-", "_") + dot + rest
        if name in waiting:
            waiting.remove(name)
        if not equals and name in flags and not (words and words[0].lower() in ("true", "false")):
            value, equals = "true", "="
        elif not equals and words and (not words[0].startswith("--")) and name != "help":
            value, equals = words.pop(0), "="
        out.append(f"--{name}{equals}{_bracket(value) if name in lists else value}")
    return out


def _is_tuple(hint: Any) -> bool:
    return any(get_origin(part) is tuple for part in (hint, *get_args(hint)))


def _bracket(value: str) -> str:
    if value.startswith("["):
        return value
    return (
        "[" + ", ".join(f"{part.strip()!r}" if not _number(part) else part for part in value.split(",") if part) + "]"
    )


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
