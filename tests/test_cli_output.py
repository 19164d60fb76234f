"""What comes from files of others cannot steer the terminal, and secrets in addresses are not shown."""

import io
import json
import sys

import pytest
from tqdm import tqdm

import cdzoo.cli.main
from cdzoo.cli.main import _Printable, main
from cdzoo.errors import InputError, mask_url, mask_urls

EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9b31mall is well\u202e"


def test_texts_of_a_model_are_escaped_in_tables(tiny, tmp_path, capsys):
    folder = tiny().save_pretrained(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "description": EVIL, "paper": EVIL}))
    assert main(["info", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "all is well" in out and not set(EVIL) & set("\x1b\x07\r\x9b\u202e") & set(out + err)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_whatever_a_command_prints_is_escaped(monkeypatch, capsys, stream):
    monkeypatch.setattr(cdzoo.cli.main, "_run", lambda words: print(EVIL.replace("\r", ""), file=getattr(sys, stream)))
    main([])
    shown = getattr(capsys.readouterr(), stream[3:])
    assert "all is well" in shown and shown.rstrip("\n").isprintable()


def test_bars_move():
    file = io.StringIO()
    with tqdm(total=2, file=_Printable(file, bars=True), desc="a\x1b[2J", mininterval=0) as outer:
        for _ in tqdm(range(2), file=_Printable(file, bars=True), mininterval=0):
            outer.update()
    assert "\r" in file.getvalue() and "\x1b[A" in file.getvalue() and "\x1b[2J" not in file.getvalue()


SECRET = "opensesame"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://me:{SECRET}@host:80/a.zip", "https://***@host:80/a.zip"),
        (f"https://{SECRET}@host/a.zip", "https://***@host/a.zip"),
        (f"https://host/a.zip?token={SECRET}&X-Amz-Signature={SECRET}", "https://host/a.zip?token=***&X-Amz-Signature=***"),
        (f"https://host/a.zip?{SECRET}", "https://host/a.zip?***"),
        (f"https://host/a.zip#access_token={SECRET}", "https://host/a.zip#access_token=***"),
        (f"https://me:p@ss{SECRET}@host/a.zip", "https://***@host/a.zip"),
        (f"https://me:p/{SECRET}@host/a.zip", "https://***@host/a.zip"),
        ("https://host/@a/b.zip", "https://host/@a/b.zip"),
        ("https://host/page#section", "https://host/page#section"),
        (f"me:{SECRET}@host/a.zip", "***@host/a.zip"),
    ],
)
def test_secrets_in_addresses(monkeypatch, capsys, url, shown):
    assert mask_url(url) == shown
    if "://" in url:
        assert mask_urls(f"see {url}, and '{url}'.") == f"see {shown}, and '{shown}'."

        def fail(words):
            print(f"from {url}")
            raise InputError(f"{url}: no")

        monkeypatch.setattr(cdzoo.cli.main, "_run", fail)
        assert main([]) == 2
        assert capsys.readouterr() == (f"from {shown}\n", f"cdzoo: error: {shown}: no\n")
