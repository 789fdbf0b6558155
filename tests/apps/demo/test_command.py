"""python -m apps.demo: what it refuses, and how quickly; the page itself is driven in test_page.py."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from apps.demo import __main__ as command
from bodymap.errors import UserError


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_without_the_extra_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'pip install -e "\.\[app\]"'):
        command.main([])


def test_a_port_that_is_taken_and_the_next_free_one(taken, monkeypatch):
    with pytest.raises(UserError, match=f"Port {taken} of 127.0.0.1 is taken; choose another with --port"):
        command.main(["--port", str(taken)])
    # where none is named the next free one will do
    monkeypatch.setattr(command, "PORT", taken)
    assert taken < command._address("127.0.0.1", None) < taken + 100


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_of_another_machine(host):
    with pytest.raises(UserError, match="--host|an address of this machine"):
        command._address(host, None)


@pytest.mark.parametrize("port", ["0", "70000", "web", "-1"])
def test_no_port(port, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["--port", port])
    assert caught.value.code == 2 and "is no port" in capsys.readouterr().err


def test_wrong_weights_are_refused_before_anything_is_loaded(tmp_path):
    pytest.importorskip("gradio", reason='needs Gradio: pip install -e ".[test]"')
    root = Path(__file__).parents[3]
    program = (
        "import sys; from apps.demo.__main__ import main\n"
        "try: main(['--weights', 'no/such/weights'])\n"
        "except Exception as error: print(type(error).__name__, 'torch' in sys.modules, 'gradio' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert ran.stdout.strip() == "UserError False False", ran.stderr
