"""The command line's own help and complaints: what a verb is for, and one line with the next step for a mistake."""

import pytest

from vlmeval_mp.cli.main import VERBS, parser


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "launch --modle x",
            "vlmeval-mp launch: does not know --modle (did you mean --mode or --model?); see vlmeval-mp launch",
        ),
        ("status --wach", "does not know --wach (did you mean --watch?); see vlmeval-mp status --help"),
        (
            "launch --limit x",
            "vlmeval-mp launch: argument --limit: invalid int value: 'x'; see vlmeval-mp launch --help",
        ),
        (
            "launch --scoring lax",
            "invalid choice: 'lax' (choose from 'strict', 'compat', 'official'); see vlmeval-mp launch --help",
        ),
        ("lanch", "vlmeval-mp: argument COMMAND: invalid choice: 'lanch'"),
        ("", "vlmeval-mp: the following arguments are required: COMMAND; see vlmeval-mp --help"),
    ],
)
def test_a_mistake_is_one_line_with_the_next_step(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        parser(words.split()).parse_args(words.split())
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_s_help_says_what_it_is_for(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for words in ([verb, "--help"], ["--help"]):
        with pytest.raises(SystemExit):
            parser(words).parse_args(words)
    own, listed = capsys.readouterr().out.split("usage: vlmeval-mp [-h]")
    (line,) = [line.strip() for line in listed.splitlines() if line.strip().startswith(f"{verb} ")]
    assert line.removeprefix(verb).strip().lower() in own.lower()
