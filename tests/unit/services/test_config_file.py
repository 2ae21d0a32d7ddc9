"""lossguard.toml: what it says counts; what is wrong with it is told before the start, with the way out."""

from pathlib import Path

import pytest

import tried_rules
from lossguard_server.config_file import ConfigFile, read_config
from lossguard_server.errors import BadConfigFile, StartupError
from lossguard_server.services.policies.wishes import Policy
from lossguard_server.settings import Settings

RULES = (tried_rules.rule("above"), tried_rules.rule("beyond"))
GOOD = """
[rules.above]
limit = 7
[rules.beyond]
enabled = false
[project."de novo".rules.above]
limit = 8.5
[project.ris.rules.beyond]
enabled = true
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "lossguard.toml"
    path.write_text(text)
    return path


def test_rules_of_all_runs_and_of_projects(tmp_path: Path) -> None:
    found = read_config(written(tmp_path, GOOD), RULES)
    assert found.rules.rules == {
        "above": {"parameters": {"limit": 7.0}},
        "beyond": {"enabled": False, "parameters": {}},
    }
    assert found.rules.projects["de novo"] == {"above": {"parameters": {"limit": 8.5}}}
    assert found.rules.projects["ris"]["beyond"]["enabled"] is True


def test_policies_of_all_runs_and_of_projects(tmp_path: Path) -> None:
    text = """
[policies.above]
do = "lower_weight"
budget = 3
[project."de novo".policies]
above = {do = "off"}
beyond = {do = "pause", budget = 1, severity = "warning", pause_s = 60}
"""
    found = read_config(written(tmp_path, text), RULES).policies
    assert found.policies == {"above": Policy("lower_weight", 3)}
    assert found.projects == {"de novo": {"above": Policy("off"), "beyond": Policy("pause", 1, "warning", 60.0)}}


def test_no_file_says_nothing_unless_it_was_named(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none.toml", RULES) == ConfigFile()
    with pytest.raises(BadConfigFile, match=r"none\.toml"):
        read_config(tmp_path / "none.toml", RULES, must_exist=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[rules.abvoe]\nlimit = 1", ["[rules.abvoe]", "There is no rule 'abvoe'", "Did you mean 'above'"]),
        ("[rules.above]\nlimt = 1", ["[rules.above]", "'limt'", "Did you mean 'limit'"]),
        ("[rules.above]\nlimit = 0.1", ["above.limit is 0.1", "from 0.5 to 1e+06"]),
        ("[rules.above]\nlimit = '7'", ["above.limit is '7'", "from 0.5 to 1e+06"]),
        ("[rules.above]\nlimit = nan", ["above.limit is nan"]),
        ("[rules.above]\nenabled = 0", ["above.enabled is 0", "true or false"]),
        ("[rules]\nabove = 3", ["rules.above is 3", "table"]),
        ("rules = 3", ["rules is 3", "table"]),
        ("[rule.above]\nlimit = 7", ["rule", "Did you mean 'rules'"]),
        ("[project.p.rule.above]\nlimit = 7", ["project.p.rule", "Did you mean 'rules'"]),
        ("[project.'a b'.rules.above]\nlimit = 0", ['[project."a b".rules.above]', "from 0.5"]),
        ("[project]\np = 1", ["project.p is 1"]),
        ("[rules.above", ["is not TOML"]),
        ("[rules.above]\nneed = 1.5", ["above.need is 1.5", "a whole number from 1 to 5"]),
        ("[rules.above]\nlimit = 1\nneed = 2", ["need (2) is above limit (1)"]),
        ("[policies.abvoe]\ndo = 'pause'\nbudget = 1", ["[policies.abvoe]", "Did you mean 'above'"]),
        ("[policies.above]\ndo = 'paus'\nbudget = 1", ["[policies.above]", "'paus'", "Did you mean 'pause'"]),
        ("[policies.above]\ndo = 'pause'\nbudget = 0", ["above.budget is 0", "1 to 100"]),
        ("[policies.above]\ndo = 'pause'", ["above.budget is not said"]),
        ("[policies]\nabove = 'pause'", ["policies.above is 'pause'", "table"]),
        ("[policy.above]\ndo = 'pause'", ["Did you mean 'policies'"]),
        ("[project.p.policies.above]\ndo = 'skip'\nbudget = 1", ["[project.p.policies.above]", "for nonfinite"]),
        (f"[policies.above]\ndo = 'pause'\nbudget = 0x{'f' * 5_000}", ["too many digits"]),
        (f"[rules.above]\nlimit = {'9' * 400}", ["above.limit is 9999", "from 0.5 to 1e+06"]),
        (f"[rules.above]\nlimit = {'9' * 5_000}", ["too many digits"]),
        (f"[rules.above]\nenabled = 0x{'f' * 5_000}", ["too many digits"]),
        (f"a = {'[' * 5_000}", ["nested too deeply"]),
        (f"[rules.above.limit.{'.'.join('a' * 5_000)}]", ["nested too deeply"]),
    ],
)
def test_whatever_is_wrong_is_told_with_the_file(tmp_path: Path, text: str, told: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(StartupError) as refused:
        read_config(path, RULES)
    assert [part for part in [str(path), *told] if part not in str(refused.value)] == []


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lossguard.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadConfigFile, match="cannot be read"):
        read_config(path, RULES)
    with pytest.raises(BadConfigFile, match="cannot be read"):
        read_config(tmp_path, RULES)


def test_where_the_file_is() -> None:
    folder = Path("/data")
    assert Settings(folder).config_path == folder / "lossguard.toml"
    given = Settings.from_environment({"LOSSGUARD_CONFIG": "/etc/a.toml"}, data_dir=folder)
    assert given.config_path == Path("/etc/a.toml")
    assert Settings.from_environment({"LOSSGUARD_CONFIG": "/etc/a.toml"}, config=Path("b")).config_path == Path("b")
