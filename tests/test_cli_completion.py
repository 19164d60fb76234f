"""`cdzoo completion`, by bash."""

import shutil
import subprocess
import sys

import pytest

from cdzoo.cli.main import COMMANDS, main


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("bash") is None, reason="bash of Linux")
def test_bash_completes_commands_options_and_names(capsys, tmp_path):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "cdzoo.bash"
    script.write_text(capsys.readouterr().out)
    (tmp_path / "folder").mkdir()
    typed = {
        "pre": {"predict"},
        "data ": {"list", "info", "check", "prepare"},
        "train --fus": {"--fusion", "--fusion-kwargs"},
        "train --fusion cb": {"cbam"},
        "train --log tens": {"tensorboard"},
        "info glmamba_t": {"glmamba_tiny", "glmamba_tiny.synthetic"},
        "data info levir": {"levir_cd", "levir_cd_plus"},
        "predict --augment fl": {"flips"},
        "train --out fol": {"folder"},
        "train --imp": {"--import"},
        "eval --no-such": set(),
    }
    lines = [f'source "{script}"', "complete -p cdzoo"]
    for words in typed:
        *before, last = words.split(" ")
        shown = " ".join(f'"{word}"' for word in ("cdzoo", *before, last))
        lines.append(f'COMP_WORDS=({shown}); COMP_CWORD={len(before) + 1}; _shtab_cdzoo; echo "${{COMPREPLY[*]}}"; COMPREPLY=()')
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, cwd=tmp_path, check=True)
    registered, *found = done.stdout.splitlines()
    assert "-o default" in registered and done.stderr == ""  # files where no name is known
    assert {words: set(line.split()) for words, line in zip(typed, found, strict=True)} == typed


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name.split()[-1] in script for name in COMMANDS) and "glmamba_tiny.synthetic" in script
    if sys.platform == "linux" and (program := shutil.which(shell)):
        subprocess.run([program, "-n"], input=script, text=True, check=True)  # parses without running
    assert main(["completion", "fihs"]) == 2 and "SHELL: unknown value 'fihs'. Did you mean 'fish'?" in capsys.readouterr().err
