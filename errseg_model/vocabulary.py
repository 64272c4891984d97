"""Vocabularies: the ordered class names, with synonyms, that a picture is segmented into.

The rules are those of the public interface: 1 to 1000 entries; each has a non-empty name of at most 200
printable characters; names differ after trimming, case folding and folding of white space.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from errseg_model.errors import InputError
from errseg_model.wording import listed

MAX_ENTRIES = 1000
MAX_CHARACTERS = 200  # of a name, a synonym, and of a slug before its number
MAX_FILE_BYTES = 1_000_000
FILE_SUFFIXES = (".yaml", ".yml", ".json")

_SHOWN_CHARACTERS = 60
_SHOWN_NAMES = 20
# What str.isprintable refuses and names may have all the same: the other spaces of Unicode (category Zs), and
# the two joiners, which emoji sequences and Persian, Arabic and Indic words need although they have no shape.
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_JOINERS = "\u200c\u200d"
_YAML_STRING = "tag:yaml.org,2002:str"
_YAML_KINDS = {
    "tag:yaml.org,2002:bool": "a boolean",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:null": "null",
    "tag:yaml.org,2002:timestamp": "a date",
}


class VocabularyError(InputError):
    """A vocabulary that breaks a rule; the message names the entry and says what is expected."""


@dataclass(frozen=True)
class VocabularyEntry:
    """One class: its name and other words for it, each trimmed; white space inside stays as typed.

    Raises VocabularyError when the name, or a synonym, is not 1 to 200 printable characters without a comma.
    """

    name: str
    synonyms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.synonyms, str) or not all(isinstance(p, str) for p in (self.name, *self.synonyms)):
            raise VocabularyError("expected a name and a tuple of synonyms, all of them strings")
        object.__setattr__(self, "name", _trim(self.name))
        object.__setattr__(self, "synonyms", tuple(_trim(synonym) for synonym in self.synonyms))
        roles = ["the name", *(f"the synonym {_shown(synonym)}" for synonym in self.synonyms)]
        for role, phrase in zip(roles, (self.name, *self.synonyms), strict=True):
            problem = _problem(phrase)
            if problem is not None:
                raise VocabularyError(f"{role} of {_shown(str(self))} {problem}")

    @classmethod
    def parse(cls, text: str) -> VocabularyEntry:
        """``"car, automobile"`` -> name ``car``, synonyms ``("automobile",)``; empty synonyms are ignored.

        Raises VocabularyError as the class does.
        """
        if not isinstance(text, str):
            raise VocabularyError(f"expected a string such as 'car, automobile', got {_shown_value(text)}")
        name, *synonyms = text.split(",")
        return cls(name, tuple(synonym for synonym in synonyms if _trim(synonym)))

    @property
    def key(self) -> str:
        """What makes two names equal: the name case folded, each run of white space one space."""
        return _key(self.name)

    def __str__(self) -> str:
        return ", ".join((self.name, *self.synonyms))


@dataclass(frozen=True)
class Vocabulary:
    """1 to 1000 entries in order; immutable and hashable. Raises VocabularyError when a rule is broken."""

    entries: tuple[VocabularyEntry, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(self.entries))
        _check_count(len(self.entries))
        positions: dict[str, int] = {}
        for position, entry in enumerate(self.entries, start=1):
            if not isinstance(entry, VocabularyEntry):
                got = _shown_value(entry)
                raise VocabularyError(f"entry {position}: expected a VocabularyEntry, got {got}")
            first = positions.setdefault(entry.key, position)
            if first != position:
                other = self.entries[first - 1]
                raise VocabularyError(
                    f"entry {position}: {_shown(entry.name)} is the same name as {_shown(other.name)}, entry "
                    f"{first}; names must differ in more than case and white space"
                )

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Vocabulary:
        """A vocabulary of texts such as ``"car, automobile"``. Raises VocabularyError naming the entry."""
        if isinstance(entries, (str, bytes, Mapping)) or not isinstance(entries, Iterable):
            raise VocabularyError(f"expected a list of entries, got {_shown_value(entries)}")
        texts = list(entries)
        _check_count(len(texts))
        parsed = []
        for position, text in enumerate(texts, start=1):
            try:
                parsed.append(VocabularyEntry.parse(text))
            except VocabularyError as error:
                raise VocabularyError(f"entry {position}: {error}") from None
        return cls(tuple(parsed))

    @classmethod
    def read(cls, path: str | Path) -> Vocabulary:
        """The vocabulary in a ``.yaml``, ``.yml`` or ``.json`` file that holds a list of entries, in UTF-8.

        Raises VocabularyError naming the file, and the line or the entry, when it cannot be read or breaks a
        rule.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        try:
            if suffix not in FILE_SUFFIXES:
                raise VocabularyError(f"expected a file that ends in {', '.join(FILE_SUFFIXES)}")
            text = _read_text(path)
            return cls.parse(_json_list(text) if suffix == ".json" else _yaml_list(text))
        except VocabularyError as error:
            raise VocabularyError(f"vocabulary file {path}: {error}") from None

    @classmethod
    def from_argument(cls, text: str) -> Vocabulary:
        """The V of the command line: a vocabulary file, or entries separated by ``;``, blank ones ignored.

        Raises VocabularyError as `read` and `parse` do.
        """
        argument = _trim(text)
        if ";" not in argument:
            suffix = os.path.splitext(argument)[1].lower()
            # A file of another kind is a mistake, not a class of that name: `read` says what is expected.
            if suffix in FILE_SUFFIXES or (suffix and os.path.isfile(argument)):
                return cls.read(argument)
        return cls.parse([part for part in argument.split(";") if _trim(part)])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names in order."""
        return tuple(entry.name for entry in self.entries)

    @cached_property
    def slugs(self) -> tuple[str, ...]:
        """One topic name token per entry, all different; see `slugs`."""
        return slugs(self.names)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {entry.key: position for position, entry in enumerate(self.entries)}

    def __len__(self) -> int:
        return len(self.entries)

    def index(self, name: str) -> int:
        """The position, from 0, of a name (case and white space do not matter; synonyms are not looked at).

        Raises VocabularyError with the names there are.
        """
        position = self._positions.get(_key(name))
        if position is None:
            there_are = listed(self.names, _SHOWN_NAMES)
            raise VocabularyError(f"{_shown(name)} is not in the vocabulary, which has {there_are}")
        return position

    def to_strings(self) -> list[str]:
        """The entries as texts; ``Vocabulary.parse`` of them is this vocabulary again."""
        return [str(entry) for entry in self.entries]


def slugs(names: Sequence[str]) -> tuple[str, ...]:
    """One token for the end of a topic name per class name (public interface, SLUG), all different.

    The name in lower case, every run of other characters than a-z, 0-9 replaced by one ``_``, ``c_`` in front
    of a leading digit, ``_2``, ``_3`` after a repeated one. Where that alone would leave two slugs equal, or
    one too long for a topic, it is stretched: a number that is taken is skipped (``a b``, ``a-b``, ``a b 2``
    give ``a_b``, ``a_b_2``, ``a_b_2_2``), and a slug is cut at 200 characters, its number not counted.
    """
    taken: set[str] = set()
    counts: dict[str, int] = {}
    result = []
    for name in names:
        slug = re.sub("[^a-z0-9]+", "_", name.lower())
        base = ("c_" + slug if slug[:1].isdigit() else slug)[:MAX_CHARACTERS]
        unique = base
        while unique in taken:
            counts[base] = counts.get(base, 1) + 1
            unique = f"{base}_{counts[base]}"
        taken.add(unique)
        result.append(unique)
    return tuple(result)


def _key(name: str) -> str:
    return " ".join(name.casefold().split())


def _trim(text: str) -> str:
    """Without the white space that people, editors and YAML blocks leave at both ends."""
    return text.strip(_SPACES + "\t\r\n")


def _problem(phrase: str) -> str | None:
    """What is wrong with a trimmed name or synonym, as the end of a sentence; None when nothing is."""
    for character in phrase:
        if not (character.isprintable() or character in _SPACES + _JOINERS):
            return f"has the character U+{ord(character):04X}; only printable characters are allowed"
    if not phrase.strip(_SPACES + _JOINERS):
        return "is empty; expected 1 to 200 printable characters"
    if "," in phrase:
        return "has a comma; commas separate synonyms"
    if len(phrase) > MAX_CHARACTERS:
        return f"has {len(phrase)} characters; at most {MAX_CHARACTERS} are allowed"
    return None


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_ENTRIES:
        raise VocabularyError(f"a vocabulary has 1 to {MAX_ENTRIES} entries, this one has {count}")


def _shown(text: str) -> str:
    """A text for a message: in quotes, without raw control characters, not too long."""
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 3] + "..."
    return repr(text)


def _shown_value(value: object) -> str:
    """A value that should have been something else. Containers are not printed: they may be endless."""
    if value is None:
        return "null"
    kind = type(value).__name__
    if isinstance(value, (str, bytes, bool, float)):
        return f"the {kind} {_shown(str(value))}"
    return f"a value of type {kind}"


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise VocabularyError("expected a file, this is a directory or a device")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise VocabularyError("there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise VocabularyError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise VocabularyError(f"it has more than {MAX_FILE_BYTES} bytes, too many for a list of names")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VocabularyError(f"line {line}: the byte 0x{data[error.start]:02x} is not UTF-8 text") from None


def _json_list(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise VocabularyError(f"line {error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, lists in lists without end
        raise VocabularyError("expected a JSON list of strings") from None
    if not isinstance(value, list):
        raise VocabularyError(f"expected a JSON list of strings, got {_shown_value(value)}")
    for position, entry in enumerate(value, start=1):
        if not isinstance(entry, str):
            kind = _shown_value(entry)
            raise VocabularyError(f"entry {position}: expected a string in quotes, got {kind}")
    return value


class _ShortLists(yaml.SafeLoader):
    """Gives up where a list of names is over: to read a megabyte of other YAML takes half a minute."""

    _nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._nodes += 1
        if self._nodes > 1 + MAX_ENTRIES:  # the list itself is one
            raise VocabularyError(f"expected a YAML list of 1 to {MAX_ENTRIES} strings, this has more values")
        return super().compose_node(parent, index)


def _yaml_list(text: str) -> list[str]:
    """The strings of a YAML list.

    It stays at the node graph that PyYAML's safe loader makes: nothing but strings is ever built, aliases
    cannot multiply, and a message can show what was typed (``no``) and where.
    """
    try:
        root: Any = yaml.compose(text, Loader=_ShortLists)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = f"U+{error.character:04X}"
        raise VocabularyError(f"line {line}: not YAML: it has the character {code}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise VocabularyError(f"{where}not YAML: {problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise VocabularyError("expected a YAML list of strings") from None
    if root is None:
        raise VocabularyError("it is empty; expected a YAML list of strings")
    if not isinstance(root, yaml.SequenceNode):
        kind = "a mapping" if isinstance(root, yaml.MappingNode) else "one value"
        raise VocabularyError(f"expected a YAML list of strings ('- road'), got {kind}")
    for position, node in enumerate(root.value, start=1):
        if node.tag != _YAML_STRING or not isinstance(node, yaml.ScalarNode):
            where = f"entry {position} (line {node.start_mark.line + 1})"
            raise VocabularyError(f"{where}: {_yaml_problem(node)}")
    return [node.value for node in root.value]


def _yaml_problem(node: Any) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "expected a name, got a list"
    if isinstance(node, yaml.MappingNode):
        return "expected a name, got a mapping; write a name with a colon in quotes"
    if not node.value:
        return "it is empty; expected a name"
    kind = _YAML_KINDS.get(node.tag, "not a string")
    return f"{_shown(node.value)} without quotes is {kind} in YAML; write it in quotes"
