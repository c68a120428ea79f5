"""SIGINT and SIGTERM end a run as an exception does, and end it all the same where something swallows that."""

import os
import signal
import subprocess
import sys

import pytest

from bidsapp.cli import signals
from bidsapp.cli.signals import Terminate, error_of, interruptible

DEAF = """
import os, time
from bidsapp.cli import signals
signals.GRACE_SECONDS = 0.2
def give_up(error):
    print(error.exit_code, flush=True)
    os._exit(error.exit_code)
with signals.interruptible(give_up):
    while True:
        try:
            print("ready", flush=True)
            time.sleep(60)
        except BaseException:
            pass
"""


def _raise_once(number):
    os.kill(os.getpid(), number)
    signal.pause()


def _raise_twice(number):
    try:
        _raise_once(number)
    finally:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminate), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_is_an_exception_and_handlers_are_put_back(number, raised):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(raised), interruptible(pytest.fail):
        _raise_once(number)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_that_comes_twice_at_once_is_one():
    with pytest.raises(Terminate), interruptible(pytest.fail):
        _raise_twice(signal.SIGTERM)


def test_a_person_who_insists_is_obeyed(monkeypatch):
    heard = []
    monkeypatch.setattr(signals, "IMPATIENT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt), interruptible(heard.append):
        _raise_twice(signal.SIGINT)
    assert [error.exit_code for error in heard] == [130]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_swallows_the_exception_ends_all_the_same(number, code):
    process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=60)[0].splitlines()[-1] == str(code)
    assert process.returncode == code


def test_the_last_word_says_that_work_is_kept():
    assert error_of(signal.SIGTERM).exit_code == 143
    assert "kept; run the same command again" in str(error_of(signal.SIGINT))
