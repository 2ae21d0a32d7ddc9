"""lossguard.toml: what a person writes down once for a server.

Rules of this file:
- Whatever is wrong with it is said before the server starts, with the file, the key, what is allowed and the name that
  was probably meant. A key that nobody knows is an error: a misspelt bound would otherwise never count.
- Tables: `[rules.<rule>]` and `[project."<project>".rules.<rule>]`, each with `enabled` and the rule's parameters;
  `[policies.<rule>]` and `[project."<project>".policies.<rule>]` with `do`, `budget` and what else a policy has.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import BadConfigFile, BadRequest, BadRules
from .rules.base import Rule
from .rules.tuning import ENABLED, PARAMETERS, Configuration, Tuning, checked, layered, nearest, shaped
from .services.parameters import FileRules
from .services.policies.standing import FilePolicies
from .services.policies.wishes import Policy
from .services.policies.wishes import shaped as shaped_policies

RULES, POLICIES, PROJECT = "rules", "policies", "project"
KEYS = (RULES, POLICIES, PROJECT)


@dataclass(frozen=True)
class ConfigFile:
    """What it says, checked."""

    rules: FileRules = field(default_factory=FileRules)
    policies: FilePolicies = field(default_factory=FilePolicies)


def read_config(path: Path, rules: Sequence[Rule], must_exist: bool = False) -> ConfigFile:
    """What the file says; nothing where there is none and none `must_exist`. Raises BadConfigFile."""
    try:
        return _said(path, tomllib.loads(path.read_text(encoding="utf-8")), rules)
    except FileNotFoundError:
        if must_exist:
            raise BadConfigFile(f"There is no file {path}.", "Check --config.") from None
        return ConfigFile()
    except tomllib.TOMLDecodeError as error:
        raise BadConfigFile(f"{path} is not TOML: {error}.", "A table's head is [rules.loss_jump].") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfigFile(f"{path} cannot be read: {error}.", "It takes a text file in UTF-8.") from error
    except RecursionError:  # while it is read, or while what is wrong with it is written out
        raise BadConfigFile(f"{path} is nested too deeply.", "It takes tables of numbers.") from None
    except ValueError:  # Python neither reads nor writes out more than 4,300 digits
        raise BadConfigFile(f"{path} has a number of too many digits.", "Write it like 1e6.") from None


def _said(path: Path, said: Mapping[str, Any], rules: Sequence[Rule]) -> ConfigFile:
    _refuse_strange(path, "", said, KEYS)
    projects = {
        name: _project(path, name, table) for name, table in _table(path, PROJECT, said.get(PROJECT, {})).items()
    }
    of_all = _rules(path, RULES, said.get(RULES, {}), rules, {})
    policies = _policies(path, POLICIES, said.get(POLICIES, {}), rules)
    return ConfigFile(
        FileRules(
            of_all,
            {
                name: _rules(path, _key(name, RULES), table.get(RULES, {}), rules, of_all)
                for name, table in projects.items()
            },
        ),
        FilePolicies(
            policies,
            {
                name: _policies(path, _key(name, POLICIES), table.get(POLICIES, {}), rules)
                for name, table in projects.items()
            },
        ),
    )


def _project(path: Path, name: str, said: Any) -> Mapping[str, Any]:
    key = f"{PROJECT}.{_quoted(name)}"
    table = _table(path, key, said)
    _refuse_strange(path, f"{key}.", table, (RULES, POLICIES))
    return table


def _policies(path: Path, key: str, said: Any, rules: Sequence[Rule]) -> dict[str, Policy]:
    """`[policies.loss_jump] do = "pause"` as policies."""
    found: dict[str, Policy] = {}
    for name, table in _table(path, key, said).items():
        try:
            found |= shaped_policies([rule.name for rule in rules], {name: _table(path, f"{key}.{name}", table)})
        except BadRequest as error:
            raise BadConfigFile(f"{path}, [{key}.{name}]: {error.message}", error.hint) from error
    return found


def _rules(path: Path, key: str, said: Any, rules: Sequence[Rule], base: Configuration) -> dict[str, Tuning]:
    """`[rules.loss_jump] factor = 2.0` as a configuration, which makes sense on top of `base`."""
    found: dict[str, Tuning] = {}
    for name, table in _table(path, key, said).items():
        parameters = dict(_table(path, f"{key}.{name}", table))
        switch = {ENABLED: parameters.pop(ENABLED)} if ENABLED in parameters else {}
        try:
            found |= shaped(rules, {name: {**switch, PARAMETERS: parameters}})
            checked(rules, layered({each: base[each] for each in (name,) if each in base}, {name: found[name]}))
        except BadRules as error:
            raise BadConfigFile(f"{path}, [{key}.{name}]: {error.message}", error.hint) from error
    return found


def _table(path: Path, key: str, said: Any) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        raise BadConfigFile(f"{path}: {key} is {said!r:.80}.", f"It takes a table: [{key}.<name>].")
    return said


def _refuse_strange(path: Path, where: str, said: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in said:
        if key not in known:
            meant = nearest(key, known)
            hint = f"Did you mean {meant!r}?" if meant else f"Known here: {', '.join(known)}."
            raise BadConfigFile(f"{path} has a key that nobody knows: {where}{key}.", hint)


def _key(project: str, part: str) -> str:
    return f"{PROJECT}.{_quoted(project)}.{part}"


def _quoted(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else f'"{name}"'
