"""Behaviour that all subcommands of `sdg` share: help, errors, exit codes, pipes, terminals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.command import PROGRAM, in_terminal, program, sdg

ROOT = Path(__file__).parents[2]
COMMANDS = {
    (): (
        "quickstart",
        "plan",
        "try",
        "cover",
        "fill",
        "funnel",
        "browse",
        "audit",
        "preview",
        "records",
        "tune",
        "bench",
        "catalog",
        "release",
        "teacher",
    ),
    ("catalog",): ("list", "show", "check", "new", "guesses"),
    ("release",): ("list", "show", "diff", "export", "push"),
    ("teacher",): ("fetch", "list"),
}
LEAVES = [
    (*group, name)
    for group, names in COMMANDS.items()
    for name in names
    if (*group, name) not in COMMANDS
]
# One command line of each command that reads the settings.
CALLS = (
    ("quickstart",),
    ("plan",),
    ("try", "gsm8k/gsm8k"),
    ("cover",),
    ("funnel",),
    ("preview", "gsm8k"),
    ("catalog", "list"),
    ("catalog", "show", "gsm8k"),
    ("catalog", "guesses"),
    ("release", "list"),
    ("release", "push", "--to", "org/qa"),
    ("teacher", "fetch", "smollm2-135m"),
    ("tune",),
    ("bench",),
)
LINES = re.compile(r"[\u2500-\u259f]")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOURS = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
HEAVY = ("dagster", "polars", "pydantic", "yaml", "datasets", "torch", "vllm")
# Modules that containers or our own processes run, and the module for Dagster's own `-m`.
NOT_FOR_PEOPLE = {
    "sdg_assets.cluster.ended_runs",
    "sdg_assets.cli.trial",
    "sdg_assets.teacher.weights.convert",
    "sdg_assets.definitions",
}


@pytest.fixture
def small(tmp_path: Path, configure: Configure) -> None:
    """A small catalog, which loads fast, with long texts, which need wide columns."""
    fields = {"domain": "trivia_of_the_world_and_beyond", "license": f"LicenseRef-{'long-' * 8}"}
    configure(catalog=write_catalog(tmp_path / "catalog", fields))


@pytest.mark.parametrize("group", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("ask", [(), ("--help",), ("-h",)], ids=["alone", "--help", "-h"])
def test_help_names_every_subcommand_in_a_line(group: tuple[str, ...], ask: tuple[str]) -> None:
    done = sdg(*group, *ask)

    assert done.exit_code == 0
    listed = re.findall(r"^  ([a-z]+)  +(\S.*)$", done.stdout.split("Commands:")[1], re.MULTILINE)
    assert tuple(name for name, _ in listed) == COMMANDS[group]
    assert not [about for _, about in listed if about.endswith("...")], "cut"


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_the_help_of_each_command_says_what_its_exit_codes_mean(command: tuple[str, ...]) -> None:
    done = sdg(*command, "--help")

    assert done.exit_code == 0
    assert "Exit codes: 0 done; " in done.stdout
    assert "2 cannot be done" in " ".join(done.stdout.split())
    assert "Args:" not in done.stdout


def test_help_needs_nothing_heavy() -> None:
    program = (
        "import sys; from sdg_assets.cli import build\n"
        "try: build(rich_help=False)(['--help'], prog_name='sdg')\n"
        f"except SystemExit: print('loaded', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.splitlines()[-1] == "loaded []", done.stderr


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_a_wrong_setting_ends_each_command_with_one_line(
    arguments: tuple[str, ...], configure: Configure
) -> None:
    configure(votes=0, gates="{")

    done = sdg(*arguments)

    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: environment: ")
    assert "SDG_VOTES='0'" in done.stderr
    assert "SDG_GATES='{': is not JSON" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_program_itself_ends_like_this() -> None:
    done = program("funnel", SDG_VOTES="0")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: environment: SDG_VOTES='0'")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["funel"], "error: No such command 'funel'. Did you mean 'funnel', 'tune'? See `sdg -"),
        (
            ["plan", "--jsn"],
            "error: No such option: --jsn (Possible options: --json) See `sdg plan",
        ),
        (["preview"], "error: Missing argument 'TASK'. See `sdg preview --help`."),
        (["plan", "--tokens-per-second", "0"], "error: Invalid value for '--tokens-per-second'"),
        (["catalog", "sow"], "error: No such command 'sow'. Did you mean 'show'? See `sdg cata"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_one_line_that_leads_to_the_help(
    arguments: list[str], message: str
) -> None:
    done = sdg(*arguments)

    assert done.exit_code == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["catalog", "list"], ["catalog", "list", "--json"], ["--help"]], ids=" ".join
)
def test_a_closed_pipe_is_no_failure(arguments: list[str], small: None) -> None:
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()

    errors = process.stderr.read()

    assert process.wait() == 0
    assert errors == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["catalog", "list"],
        ["catalog", "show", "arc", "--source", "samples"],
        ["funnel"],
    ],
    ids=" ".join,
)
def test_output_to_a_pipe_has_neither_colours_nor_lines(arguments: list[str]) -> None:
    done = sdg(*arguments)

    assert done.exit_code == 0
    assert done.stdout
    assert "\x1b" not in done.output
    assert not LINES.search(done.output)


def test_the_programs_output_to_a_pipe_has_neither(small: None) -> None:
    done = program("catalog", "list")

    assert done.returncode == 0
    assert "quiz" in done.stdout
    assert "\x1b" not in done.stdout
    assert not LINES.search(done.stdout)


def test_in_a_pipe_a_table_is_as_wide_as_it_needs(tmp_path: Path, configure: Configure) -> None:
    long = f"a_task_with_{'a_very_' * 20}long_name"
    configure(catalog=write_catalog(tmp_path, {}, {"task": long, "subtasks": {"a": {}}}))

    lines = sdg("catalog", "list").stdout.splitlines()

    assert [line for line in lines if line.startswith(f"{long}  knowledge  trivia  ")]
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_in_a_terminal_a_table_fits(width: int, small: None) -> None:
    output = in_terminal("catalog", "list", width=width)

    table = ESCAPES.sub("", output).splitlines()
    assert max(map(len, table)) <= width
    assert table[0].split()[0] == "task"
    assert [line for line in table if line.startswith("quiz ")]
    assert ("too narrow for: " in output) == (width < 200)
    assert ("domain" in table[0]) == (width == 200)


@pytest.mark.parametrize("arguments", [["--help"], ["catalog", "list"]], ids=" ".join)
def test_no_color_is_honoured_in_a_terminal(arguments: list[str], small: None) -> None:
    assert not COLOURS.search(in_terminal(*arguments, width=100, NO_COLOR="1"))


def test_a_terminal_has_the_help_in_colours() -> None:
    assert COLOURS.search(in_terminal("--help", width=100))


def test_the_version_is_the_distributions() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", sdg("--version").stdout)


def test_json_of_everything_that_lists_is_json(configure: Configure) -> None:
    for command in ("funnel", "release list"):
        done = sdg(*command.split(), "--json")
        assert (done.exit_code, json.loads(done.stdout)) == (0, [])


def test_no_text_tells_people_to_run_a_module() -> None:
    places = [ROOT / name for name in ("sdg_assets", "sdg_assets_tests", "k8s", "docs", ".ci")]
    files = [
        file
        for place in places
        for file in place.rglob("*")
        if file.suffix in {"", ".py", ".md", ".yaml", ".jinja", ".json", ".gpu"} and file.is_file()
    ]
    files += [ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.md"), *ROOT.glob("*.yaml")]
    named = {
        f"{file.relative_to(ROOT)}: {module}"
        for file in files
        for module in re.findall(
            r"-m[\"', ]+(sdg_assets(?:\.\w+)+)", file.read_text("utf-8", "replace")
        )
        if module not in NOT_FOR_PEOPLE
    }
    assert len(files) > 300
    assert named == set()


def test_ctrl_c_ends_a_command_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sdg_assets.stages.funnel.materialized", interrupted)

    done = sdg("funnel")

    assert (done.exit_code, done.output.strip()) == (130, "")
