"""Processes of the lab: started with the right command, ended with all that belongs to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from lab.errors import LabError, LabTimeout
from lab.processes import Processes
from lab.waiting import wait_for

ROOT = Path(__file__).parents[3]


def is_alive(pid: int) -> bool:
    """Whether it runs; one that is dead and not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    return folder


@pytest.fixture
def processes(directory: Path) -> Iterator[Processes]:
    held = Processes(directory)
    yield held
    held.close()


def number_in(file: Path) -> int:
    wait_for(lambda: file.exists() and file.read_text().strip(), what=f"a number in {file.name}")
    return int(file.read_text())


def test_a_process_is_running_until_it_is_stopped(processes: Processes) -> None:
    sleeper = processes.process("sleeper", ["sleep", "600"])
    states = [sleeper.running, sleeper.start().running, sleeper.stop() == -signal.SIGTERM, sleeper.running]
    assert states == [False, True, True, False]


def test_an_exit_code_and_the_output_are_kept(processes: Processes) -> None:
    failing = processes.process("failing", ["sh", "-c", "echo it broke; exit 7"]).start()
    assert failing.wait(10) == 7
    assert "it broke" in failing.tail()


def test_one_that_ignores_sigterm_is_killed_after_its_grace(processes: Processes, directory: Path) -> None:
    script = 'trap "" TERM; echo $$ > ready; while :; do sleep 1; done'
    stubborn = processes.process("stubborn", ["sh", "-c", script]).start()
    number_in(directory / "ready")
    assert stubborn.stop(grace=0.2) == -signal.SIGKILL


def test_what_a_stopped_process_started_goes_with_it(processes: Processes, directory: Path) -> None:
    script = "sleep 600 & echo $! > child; wait"
    parent = processes.process("parent", ["sh", "-c", script]).start()
    child = number_in(directory / "child")
    assert is_alive(child)
    parent.stop()
    wait_for(lambda: not is_alive(child), what="the child to be gone")


def test_it_starts_again_with_the_same_command_and_log(processes: Processes) -> None:
    speaker = processes.process("speaker", ["echo", "hello"])
    speaker.start().wait(10)
    speaker.start().wait(10)
    assert speaker.log.read_text().split() == ["hello", "hello"]


def test_a_second_start_of_a_running_one_is_refused(processes: Processes) -> None:
    sleeper = processes.process("sleeper", ["sleep", "600"]).start()
    with pytest.raises(LabError, match="running already"):
        sleeper.start()


def test_a_command_that_does_not_exist_is_an_error_that_names_it(processes: Processes) -> None:
    with pytest.raises(LabError, match="no-such-program"):
        processes.process("none", ["no-such-program"]).start()
    assert processes.process("after", ["true"]).start().wait(10) == 0


def test_waiting_for_one_that_dies_ends_at_once_with_its_log(processes: Processes) -> None:
    dying = processes.process("dying", ["sh", "-c", "echo the reason; exit 3"]).start()
    with pytest.raises(LabTimeout, match=r"(?s)ended with 3.*the reason"):
        dying.wait_ready(lambda: False, 60, "it to be ready")


def test_close_ends_everything_and_removes_the_directory(directory: Path) -> None:
    processes = Processes(directory)
    pids = [processes.process(f"p{number}", ["sleep", "600"]).start().pid for number in range(3)]
    assert all(pid and is_alive(pid) for pid in pids)
    processes.close()
    assert not any(pid and is_alive(pid) for pid in pids)
    assert not directory.exists()
    with pytest.raises(LabError, match="closed"):
        processes.process("late", ["true"]).start()


def test_a_kept_directory_stays(directory: Path) -> None:
    Processes(directory, keep=True).close()
    assert directory.exists()


def test_commands_for_the_end_run_last_first_when_all_else_is_gone(directory: Path, tmp_path: Path) -> None:
    processes = Processes(directory)
    told = tmp_path / "told"
    pid = processes.process("sleeper", ["sleep", "600"]).start().pid
    for word in ("first", "second"):
        processes.at_end(
            ["sh", "-c", f"kill -0 {pid} 2>/dev/null; echo {word} $? >> {told}"], {"PATH": "/bin"}, 10
        )
    processes.close()
    assert told.read_text().splitlines() == ["second 1", "first 1"]


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "before", ["pass", "import os; os.fork() == 0 and time.sleep(600)"], ids=["alone", "forked"]
)
def test_all_is_gone_when_the_parent_is_killed(
    directory: Path, tmp_path: Path, how: str, before: str
) -> None:
    """Also if a fork of it lives on and holds its files open, as multiprocessing's do."""
    told = tmp_path / "told"
    script = f"""
import pathlib, time
from lab.processes import Processes
processes = Processes(pathlib.Path({str(directory)!r}))
processes.at_end(["touch", {str(tmp_path / "cleaned")!r}], {{"PATH": "/usr/bin:/bin"}}, 10)
pid = processes.process("sleeper", ["sleep", "600"]).start().pid
{before}
pathlib.Path({str(told)!r}).write_text(str(pid))
time.sleep(600)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        pid = number_in(told)
        assert is_alive(pid)
        parent.send_signal(signal.Signals[how])
        parent.wait(10)
        wait_for(lambda: not is_alive(pid) and not directory.exists(), 10, "everything to be gone")
        wait_for((tmp_path / "cleaned").exists, 10, "the command for the end")
    finally:
        os.killpg(parent.pid, signal.SIGKILL) if "fork" in before else parent.kill()
        parent.wait()


def test_a_process_started_by_a_thread_outlives_that_thread(processes: Processes) -> None:
    """PR_SET_PDEATHSIG follows the thread that forks, so it must not be this process that does."""
    sleeper = processes.process("sleeper", ["sleep", "600"])
    thread = Thread(target=sleeper.start)
    thread.start()
    thread.join()
    processes.process("later", ["true"]).start().wait(10)
    assert sleeper.running
