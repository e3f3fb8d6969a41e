"""Configuration: strict reading, precedence, origins, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid.config import Config, Source, load_config, parse_config
from deid.errors import ConfigError
from deid.search.settings import SearchSettings

EXAMPLE = """\
[node]
name = "alpha"
state_dir = "/var/lib/deid/alpha"
[net]
listen = "tcp://127.0.0.1:7701"
seeds = ["tcp://127.0.0.1:7702"]
[search]
domain = "corewar"
operator = "markov"
rounds = 20          # 0 = until stopped
iterations = 62
seed = 1
[operator]           # passed to the operator
corpus = "bombers"
[domain]             # passed to the domain
core_size = 8000
cycles_max = 80000
battles = 20
"""
MINIMAL = """\
[node]
name = "alpha"
state_dir = "/s/alpha"
[search]
domain = "corewar"
operator = "edit"
"""
SEVERAL = """\
[node]
name = "alpha"
state_dir = "/s/alpha"
[search]
domain = "corewar"
[[operator]]
kind = "markov"
name = "markov:bombers"
weight = 1.5
corpus = "bombers"
[[operator]]
kind = "edit"
weight = 0.5
isolation = "inline"
memory_max_mb = 512
deadline_s = 5
model = "small"
[operator.budget]
usd_max = "0.1"
attempts_max = 10
"""


def refusal(text: str, **overrides: str) -> ConfigError:
    """The error that ``text`` with flags on top of it ends in."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, flags={k.replace("__", "."): v for k, v in overrides.items()})
    return caught.value


def origin_of(config: Config, key: str) -> str:
    (setting,) = [each for each in config.settings if each.key == key]
    return str(setting.origin)


def test_the_example_of_the_documentation_is_read_as_written() -> None:
    config = parse_config(EXAMPLE)

    assert (config.node.name, config.node.state_dir) == ("alpha", Path("/var/lib/deid/alpha"))
    assert config.net.listen == "tcp://127.0.0.1:7701"
    assert config.net.seeds == ("tcp://127.0.0.1:7702",)
    assert (config.search.domain, config.search.rounds, config.search.seed) == ("corewar", 20, 1)
    assert config.domain == {"core_size": 8000, "cycles_max": 80000, "battles": 20}
    (operator,) = config.operators
    assert (operator.name, operator.kind, operator.weight) == ("markov", "markov", 1)
    assert operator.settings == {"corpus": "bombers"}


def test_the_key_lies_beside_the_state_directory_by_default() -> None:
    assert parse_config(MINIMAL).node.key_file == Path("/s/alpha.key")


def test_what_becomes_of_old_elites_is_configured() -> None:
    keys = 'lag_max = 3\nlate = "skip"\nbackfill = "last"\n'
    settings = parse_config(MINIMAL + keys).search_settings(ordered=True)

    assert (settings.lag_max, settings.late, settings.backfill) == (3, "skip", "last")
    with pytest.raises(ConfigError, match="backfill: expected 'use' or 'last' or 'skip'"):
        parse_config(MINIMAL + 'backfill = "lst"\n')


def test_defaults_of_the_search_are_those_of_the_engine() -> None:
    settings = parse_config(MINIMAL).search_settings(ordered=True)

    assert settings == SearchSettings(node="alpha", seed=0, operators=(("edit", 1),))


def test_shares_become_millionths() -> None:
    config = parse_config(MINIMAL + "new_share = 0.25\ncross_share = 0.1\n")

    settings = config.search_settings(ordered=False)

    assert (settings.new_parts, settings.cross_parts) == (250_000, 100_000)
    assert not settings.ordered


def test_several_operators_keep_their_tables_apart() -> None:
    first, second = parse_config(SEVERAL).operators

    assert (first.name, first.kind, first.settings) == (
        "markov:bombers",
        "markov",
        {"corpus": "bombers"},
    )
    assert first.isolation == "process" and first.budget is None
    assert (second.name, second.isolation, second.memory_max_mb) == ("edit", "inline", 512)
    assert (second.deadline_s, second.model, second.settings) == (5.0, "small", {})
    assert second.budget is not None
    assert (second.budget.micro_usd_max, second.budget.attempts_max) == (100_000, 10)


def test_weights_become_the_smallest_integers_in_proportion() -> None:
    assert [each.weight for each in parse_config(SEVERAL).operators] == [3, 1]


def test_models_and_budgets_are_read_with_all_their_names() -> None:
    config = parse_config(
        MINIMAL
        + """
[model]
provider = "openai"
base_url = "http://127.0.0.1:1"
api_key_env = "KEY"
[budget]
attempts_max = 5
tokens_max = 6
usd_max = 0.1
usd_per_day_max = 2
cpu_s_max = 7.5
[budget.prices]
small = [1, 2]
[budget.fleet]
attempts_max = 8
usd_max = 1.1
lessor = "beta"
lease_share = 0.1
lease_minutes = 5
"""
    )

    (model,) = config.models
    assert (model.name, model.provider) == ("openai", "openai")
    assert model.settings == {"base_url": "http://127.0.0.1:1", "api_key_env": "KEY"}
    budget = config.budget
    assert (budget.attempts_max, budget.tokens_max, budget.cpu_s_max) == (5, 6, 7.5)
    assert (budget.micro_usd_max, budget.micro_usd_per_day_max) == (100_000, 2_000_000)
    assert budget.prices == {"small": [1, 2]}
    assert budget.fleet is not None
    assert (budget.fleet.micro_usd_max, budget.fleet.lessor) == (1_100_000, "beta")


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "alpha.toml"
    file.write_text(EXAMPLE)
    environ = {"DEID_SEARCH_ROUNDS": "7", "DEID_SEARCH_SEED": "8", "DEID_COREWAR_DATA": "/x"}

    config = load_config(file, flags={"search.rounds": "9"}, environ=environ)

    search = config.search
    assert (search.rounds, search.seed, search.iterations, search.in_flight) == (9, 8, 62, 4)
    assert origin_of(config, "search.rounds") == "flag --set search.rounds"
    assert origin_of(config, "search.seed") == "environment DEID_SEARCH_SEED"
    assert origin_of(config, "search.iterations") == f"file {file}:11"
    assert origin_of(config, "search.in_flight") == "default"


def test_overrides_reach_the_tables_of_plugins_with_their_types() -> None:
    config = parse_config(
        EXAMPLE,
        flags={"domain.battles": "5", "operator.corpus": "papers", "budget.fleet.usd_max": "2"},
        environ={"DEID_DOMAIN_AXES": '["a", "b"]', "DEID_BUDGET_FLEET_LESSOR": "beta"},
    )

    assert config.domain["battles"] == 5
    assert config.domain["axes"] == ["a", "b"]
    assert config.operators[0].settings == {"corpus": "papers"}
    assert config.budget.fleet is not None
    assert (config.budget.fleet.micro_usd_max, config.budget.fleet.lessor) == (2_000_000, "beta")


def test_a_name_of_digits_on_the_command_line_stays_a_name() -> None:
    assert parse_config(MINIMAL, flags={"node.name": "42"}).node.name == "42"


@pytest.mark.parametrize(
    "text", ["tcp://127.0.0.1:1,tcp://[::1]:2", '["tcp://127.0.0.1:1", "tcp://[::1]:2"]']
)
def test_a_list_on_the_command_line_is_toml_or_separated_by_commas(text: str) -> None:
    config = parse_config(MINIMAL, flags={"net.seeds": text})

    assert config.net.seeds == ("tcp://127.0.0.1:1", "tcp://[::1]:2")


def test_the_configuration_in_force_reads_back_as_itself() -> None:
    for text in (EXAMPLE, MINIMAL, SEVERAL):
        config = parse_config(text)

        again = parse_config(config.toml())

        assert again.toml() == config.toml()
        assert again.operators == config.operators
        assert (again.node, again.net, again.search) == (config.node, config.net, config.search)
        assert (again.domain, again.budget) == (config.domain, config.budget)


def test_origins_stand_beside_the_values() -> None:
    shown = parse_config(EXAMPLE).toml(origins=True)

    assert "rounds = 20           # file (text):10\n" in shown
    assert "per_round_max = 8  # default\n" in shown
    assert {each.origin.source for each in parse_config(EXAMPLE).settings} == {
        Source.FILE,
        Source.DEFAULT,
    }


def test_paths_in_a_file_count_from_its_directory(tmp_path: Path) -> None:
    file = tmp_path / "alpha.toml"
    file.write_text(MINIMAL.replace("/s/alpha", "state/alpha"))

    given = load_config(file, flags={"node.key_file": "alpha.key"}, environ={})

    assert given.node.state_dir == tmp_path / "state" / "alpha"
    assert given.node.key_file == Path.cwd() / "alpha.key"


def test_the_environment_of_the_process_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "alpha.toml"
    file.write_text(MINIMAL)
    monkeypatch.setenv("DEID_LOG_LEVEL", "debug")

    assert load_config(file).log.level == "debug"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[serach]\nrounds = 1\n", "(text):7: [serach]: unknown table", "did you mean 'search'?"),
        ("ronds = 3\n", "(text):7: [search] ronds: unknown key", "did you mean 'rounds'?"),
        (
            'rounds = "3"\n',
            '(text):7: [search] rounds: expected an integer in [0, 4294967295], got "3"',
            None,
        ),
        (
            "rounds = true\n",
            "(text):7: [search] rounds: expected an integer in [0, 4294967295], got true",
            None,
        ),
        (
            "in_flight = 0\n",
            "(text):7: [search] in_flight: expected an integer in [1, 64], got 0",
            None,
        ),
        (
            "new_share = 1.5\n",
            "(text):7: [search] new_share: expected a number in [0, 1], got 1.5",
            None,
        ),
        (
            "new_share = nan\n",
            "(text):7: [search] new_share: expected a number in [0, 1], got nan",
            None,
        ),
        (
            "new_share = 0.6\ncross_share = 0.6\n",
            "(text):8: [search] cross_share: expected new_share + cross_share of at most 1,"
            " got 1.2",
            None,
        ),
        (
            '[net]\nseeds = "tcp://127.0.0.1:1"\n',
            '(text):8: [net] seeds: expected a list of texts, got "tcp://127.0.0.1:1"',
            None,
        ),
        (
            '[net]\nlisten = "127.0.0.1:1"\n',
            "(text):8: net.listen: expected tcp://HOST:PORT, got '127.0.0.1:1'",
            None,
        ),
        (
            '[net]\nseeds = ["tcp://127.0.0.1:1", "x"]\n',
            "(text):8: net.seeds[1]: expected tcp://HOST:PORT, got 'x'",
            None,
        ),
        (
            '[net]\nprofile = "moon"\n',
            "(text):8: net.profile: expected 'lan' or 'wan', got 'moon'",
            None,
        ),
        (
            '[net]\nsecurity = "curve"\n',
            "(text):8: [net] security: expected 'plain', got \"curve\"",
            "encryption arrives with the keys of a later version",
        ),
        (
            '[log]\nlevel = "debgu"\n',
            "(text):8: [log] level: expected 'debug' or 'info' or 'warning' or 'error', got"
            ' "debgu"',
            "did you mean 'debug'?",
        ),
        (
            '[operator]\nisolation = "none"\n',
            "(text):8: [operator] isolation: expected 'process' or 'inline', got \"none\"",
            None,
        ),
        (
            "[operator]\nweight = 0\n",
            "(text):8: [operator] weight: expected a number in [0.001, 1e+06], got 0",
            None,
        ),
        (
            '[operator]\nkind = "markov"\n',
            "(text):8: [operator] kind: expected 'edit' as under [search] operator, got \"markov\"",
            None,
        ),
        (
            '[budget]\nusd_max = "much"\n',
            '(text):8: [budget] usd_max: expected USD, a number >= 0, got "much"',
            None,
        ),
        ("[budget]\nfleet = 3\n", "(text):8: [budget] fleet: expected a table, got 3", None),
        (
            "[budget.fleet]\nleaes_share = 1\n",
            "(text):8: [budget.fleet] leaes_share: unknown key",
            "did you mean 'lease_share'?",
        ),
        (
            '[model]\nprovider = "openai"\napi_key = "secret"\n',
            "(text):9: [model] api_key: a key never stands in the configuration",
            "name a variable (api_key_env) or a file (api_key_file)",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_line(text: str, message: str, hint: str | None) -> None:
    error = refusal(MINIMAL + text)

    assert error.message == message
    assert hint is None or error.hint == hint


def test_a_secret_is_never_repeated() -> None:
    error = refusal(MINIMAL + '[model]\nprovider = "openai"\napi_key = "secret"\n')

    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ('name = "alpha"\n', "(text): [node] name: missing"),
        ('state_dir = "/s/alpha"\n', "(text): [node] state_dir: missing"),
        ('domain = "corewar"\n', "(text): [search] domain: missing"),
        ('operator = "edit"\n', "(text): [search] operator: missing"),
    ],
)
def test_what_must_be_there_is_asked_for(gone: str, message: str) -> None:
    error = refusal(MINIMAL.replace(gone, ""))

    assert error.message == message
    assert error.hint is not None


@pytest.mark.parametrize("name", ["", "a/b", "a b", "é", "a" * 65, ".a", "a\\n"])
def test_a_node_name_is_plain(name: str) -> None:
    assert "[node] name: expected" in refusal(MINIMAL.replace('"alpha"', f'"{name}"', 1)).message


def test_a_wrong_flag_and_a_wrong_variable_are_named() -> None:
    assert refusal(MINIMAL, search__rounds="many").message == (
        '--set search.rounds: [search] rounds: expected an integer in [0, 4294967295], got "many"'
    )
    assert refusal(MINIMAL, rounds="1").message.startswith("--set rounds: expected TABLE.KEY")
    assert refusal(MINIMAL, serach__rounds="1").hint == "did you mean 'search'?"
    with pytest.raises(ConfigError, match=r"DEID_SEARCH_ROUNS: \[search\] rouns: unknown key"):
        parse_config(MINIMAL, environ={"DEID_SEARCH_ROUNS": "1"})


def test_an_override_of_one_of_several_operators_is_refused() -> None:
    assert "which one is meant" in refusal(SEVERAL, operator__corpus="x").message


def test_the_short_form_and_several_operators_exclude_each_other() -> None:
    text = SEVERAL.replace('domain = "corewar"', 'domain = "corewar"\noperator = "edit"')

    assert "no operator beside 2 [[operator]] tables" in refusal(text).message


def test_operators_of_one_name_are_refused() -> None:
    error = refusal(SEVERAL.replace('name = "markov:bombers"', 'name = "edit"'))

    assert error.message.endswith("two operators are called 'edit'")


def test_a_key_inside_the_state_directory_is_refused() -> None:
    error = refusal(MINIMAL, node__key_file="/s/alpha/key")

    assert "a file outside the state directory" in error.message


@pytest.mark.parametrize("key", ["listen", "seeds"])
def test_a_plain_link_to_another_host_is_refused(key: str) -> None:
    error = refusal(MINIMAL, **{f"net__{key}": "tcp://192.0.2.1:7701"})

    assert error.message == (
        f"--set net.{key}: [net] {key}: expected an address of this machine (plain links stay on"
        ' it), got "tcp://192.0.2.1:7701"'
    )


def test_a_wildcard_that_nobody_could_dial_is_refused() -> None:
    error = refusal(MINIMAL, net__listen="tcp://0.0.0.0:1")

    assert "net.advertise: missing" in error.message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: no such configuration file"):
        load_config(tmp_path / "gone.toml", environ={})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, environ={})


def test_what_is_not_toml_is_told_with_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[node]\nname = \n")
    with pytest.raises(ConfigError, match=r"a\.toml: not TOML: .*line 2, column 8"):
        load_config(file, environ={})

    file.write_bytes(b"[node]\nname = '\xff'\n")
    with pytest.raises(ConfigError, match=r"a\.toml:2: not UTF-8 text"):
        load_config(file, environ={})

    file.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="at most 1,048,576 bytes"):
        load_config(file, environ={})


def test_lines_are_found_behind_long_texts_and_arrays_of_tables() -> None:
    text = SEVERAL.replace('corpus = "bombers"', 'corpus = """\n[search]\nrounds = 1\n"""').replace(
        "deadline_s = 5", "deadline_s = 0"
    )

    line = 1 + text[: text.index("deadline_s")].count("\n")
    assert refusal(text).message.startswith(f"(text):{line}: [[operator]] deadline_s: expected")


def test_reading_touches_nothing(tmp_path: Path) -> None:
    file = tmp_path / "alpha.toml"
    file.write_text(MINIMAL.replace("/s/alpha", str(tmp_path / "state")))

    load_config(file, environ={})

    assert list(tmp_path.iterdir()) == [file]
