"""From tables to domain, operators, models and budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon.support import ScriptedBackend, host

from deid.config import parse_config
from deid.daemon.attempts import Attempts
from deid.daemon.budget import Amount, BudgetSpent
from deid.daemon.operator_inline import InlineOperator
from deid.daemon.operator_process import ProcessOperator
from deid.daemon.operator_setup import make_arms, make_attempts, make_domain
from deid.errors import ConfigError, PluginError
from deid.plugin import DemoDefaults, DomainPlugin, ModelPlugin, Settings, hookimpl
from deid.plugin.host import PluginHost
from deid.store import Attempt, AttemptState, Journal, Transaction

BASE = """
[node]
name = "alpha"
state_dir = "/nowhere/alpha"
[search]
domain = "toy"
"""
MODEL = """
[[model]]
name = "main"
provider = "scripted"
model = "m-1"
temperature = 0.5
max_output_tokens = 9
"""


@dataclass
class Models:
    """A plugin with a model backend, which remembers its settings, and a broken one of each."""

    given: list[dict[str, object]]

    @hookimpl
    def deid_models(self) -> Iterable[ModelPlugin]:
        return [
            ModelPlugin("scripted", "Replies.", self._create),
            ModelPlugin("broken", "Fails.", self._fail),
        ]

    @hookimpl
    def deid_domains(self) -> Iterable[DomainPlugin]:
        demo = DemoDefaults(("toy",), 1, 1, 1, 1, {})
        return [DomainPlugin("broken", "Fails.", self._fail, demo)]

    def _create(self, settings: Settings) -> ScriptedBackend:
        self.given.append(dict(settings))
        return ScriptedBackend()

    def _fail(self, settings: Settings) -> ScriptedBackend:
        raise ZeroDivisionError("on purpose")


@pytest.fixture
def models() -> Models:
    return Models([])


@pytest.fixture
def plugins(models: Models) -> PluginHost:
    plugins = host()
    plugins.register(models, "models")
    return plugins


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", quick_check=False) as opened:
        yield opened


def attempts_of(text: str, plugins: PluginHost, journal: Journal) -> Attempts:
    return make_attempts(parse_config(BASE + text), plugins, journal)


def charge(journal: Journal, count: int, operator: str) -> None:
    rows = tuple(
        Attempt(0, n, 0, 0, b"h" * 32, AttemptState.SETTLED, operator, "", b"", usage=(7, 3, 0, 0))
        for n in range(count)
    )
    journal.append(Transaction(attempts=rows)).result(5)


def test_every_operator_gets_its_name_kind_isolation_and_deadline(
    plugins: PluginHost, journal: Journal
) -> None:
    config = parse_config(
        BASE
        + """
[[operator]]
kind = "toy"
name = "one"
deadline_s = 7
isolation = "inline"
[[operator]]
kind = "toy"
name = "two"
"""
    )
    attempts = make_attempts(config, plugins, journal)
    arms = make_arms(config, plugins, attempts, journal)

    assert list(arms) == ["one", "two"]
    assert isinstance(arms["one"].port, InlineOperator)
    assert isinstance(arms["two"].port, ProcessOperator)
    assert (arms["one"].deadline_s, arms["two"].deadline_s) == (7.0, 120.0)
    assert arms["one"].budget is attempts.budget
    assert not arms["one"].port.needs_model


def test_budgets_begin_with_what_earlier_starts_spent(
    plugins: PluginHost, journal: Journal
) -> None:
    charge(journal, 3, "toy")
    text = """
[budget]
attempts_max = 4
[[operator]]
kind = "toy"
[operator.budget]
tokens_max = 40
"""
    config = parse_config(BASE + text)
    attempts = make_attempts(config, plugins, journal)
    arm = make_arms(config, plugins, attempts, journal)["toy"]

    assert attempts.budget.state().spent == Amount(3, 30, 0)
    assert arm.budget.state().spent == Amount(3, 30, 0)
    with pytest.raises(BudgetSpent, match="tokens_max"):
        arm.budget.reserve(Amount(1, 11))
    arm.budget.reserve(Amount(1, 10))
    with pytest.raises(BudgetSpent, match="attempts_max"):
        attempts.budget.reserve(Amount(1))


@pytest.mark.parametrize("key", ["usd_max = 1", "usd_per_day_max = 1", "cpu_s_max = 1"])
@pytest.mark.parametrize("table", ["[budget]", '[[operator]]\nkind="toy"\n[operator.budget]'])
def test_a_limit_that_is_not_held_is_refused(
    plugins: PluginHost, journal: Journal, key: str, table: str
) -> None:
    operator = "" if "operator" in table else '[[operator]]\nkind="toy"\n'
    config = parse_config(f"{BASE}{operator}{table}\n{key}\n")
    with pytest.raises(ConfigError, match=key.split(" ", 1)[0]):
        make_arms(config, plugins, make_attempts(config, plugins, journal), journal)


def test_a_model_gets_its_settings_and_its_key_which_stays_out_of_requests(
    plugins: PluginHost, journal: Journal, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    text = '[[operator]]\nkind="toy"\n' + MODEL + 'api_key_env = "SOME_KEY"\n'
    attempts = attempts_of(text, plugins, journal)
    model = attempts.model("llm")

    (given,) = models.given
    assert given["api_key"] == "s3cret"
    assert "api_key_env" not in given
    assert (model.name, model.model, model.max_output_tokens) == ("main", "m-1", 9)
    assert model.options == {"temperature": 0.5}
    assert model.secrets == ("s3cret",)
    assert "s3cret" not in repr(model)


def test_a_key_is_read_from_a_file(
    plugins: PluginHost, journal: Journal, models: Models, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("s3cret\n", encoding="utf-8")
    text = f'[[operator]]\nkind="toy"\n{MODEL}api_key_file = "{tmp_path}/key"\n'
    attempts_of(text, plugins, journal)

    assert models.given[0]["api_key"] == "s3cret"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot read .*No such file"), (b"", "is empty"), (b"\xff\xfe", "it is no text")],
)
def test_a_key_file_that_gives_no_key_is_one_clear_line(
    plugins: PluginHost, journal: Journal, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    text = f'[[operator]]\nkind="toy"\n{MODEL}api_key_file = "{tmp_path}/key"\n'
    with pytest.raises(ConfigError, match=reason):
        attempts_of(text, plugins, journal)


def test_a_variable_that_is_not_set_is_one_clear_line(
    plugins: PluginHost, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    text = '[[operator]]\nkind="toy"\n' + MODEL + 'api_key_env = "SOME_KEY"\n'
    with pytest.raises(ConfigError, match="SOME_KEY is not set"):
        attempts_of(text, plugins, journal)


@pytest.mark.parametrize("value", ["0", "-1", "true", '"many"', "1.5"])
def test_a_bound_of_a_model_is_a_positive_integer(
    plugins: PluginHost, journal: Journal, value: str
) -> None:
    text = f'[[operator]]\nkind="toy"\n{MODEL}in_flight_max = {value}\n'
    with pytest.raises(ConfigError, match="in_flight_max: expected an integer >= 1"):
        attempts_of(text, plugins, journal)


def test_an_operator_without_the_model_that_it_needs_is_one_clear_line(
    plugins: PluginHost, journal: Journal
) -> None:
    config = parse_config(BASE + '[[operator]]\nkind = "bad-asker"\n')
    with pytest.raises(ConfigError, match="'bad-asker' needs a model"):
        make_arms(config, plugins, make_attempts(config, plugins, journal), journal)


def test_unknown_plugins_are_named(plugins: PluginHost, journal: Journal) -> None:
    with pytest.raises(ConfigError, match="unknown model provider 'nobody'"):
        text = '[[operator]]\nkind="toy"\n[[model]]\nprovider = "nobody"\n'
        attempts_of(text, plugins, journal)
    config = parse_config(BASE + '[[operator]]\nkind = "tyo"\n')
    with pytest.raises(ConfigError, match="unknown operator 'tyo'"):
        make_arms(config, plugins, make_attempts(config, plugins, journal), journal)
    wrong = parse_config(BASE.replace('"toy"', '"tyo"') + '[[operator]]\nkind="toy"\n')
    with pytest.raises(ConfigError, match="unknown domain 'tyo'"):
        make_domain(wrong, plugins)


def test_a_plugin_that_cannot_build_what_it_offers_is_named(
    plugins: PluginHost, journal: Journal
) -> None:
    with pytest.raises(PluginError, match="'broken': cannot be built: ZeroDivisionError"):
        text = '[[operator]]\nkind="toy"\n[[model]]\nprovider = "broken"\n'
        attempts_of(text, plugins, journal)
    broken = parse_config(BASE.replace('"toy"', '"broken"') + '[[operator]]\nkind="toy"\n')
    with pytest.raises(PluginError, match="'broken': cannot be built: ZeroDivisionError"):
        make_domain(broken, plugins)


def test_a_wrong_setting_of_the_domain_stays_a_wrong_configuration(plugins: PluginHost) -> None:
    text = BASE + '[[operator]]\nkind="toy"\n[domain]\ntrials = 0\n'
    with pytest.raises(ConfigError, match="trials"):
        make_domain(parse_config(text), plugins)


def test_the_domain_is_built_with_its_table(plugins: PluginHost) -> None:
    text = BASE + '[[operator]]\nkind="toy"\n[domain]\ntrials = 3\n'

    assert make_domain(parse_config(text), plugins).trials == 3


def test_closing_the_attempts_closes_the_backends(plugins: PluginHost, journal: Journal) -> None:
    async def test() -> int:
        attempts = attempts_of('[[operator]]\nkind="toy"\n' + MODEL, plugins, journal)
        backend = attempts.model("llm").backend
        await attempts.close()
        assert isinstance(backend, ScriptedBackend)
        return backend.closed

    assert asyncio.run(test()) == 1
